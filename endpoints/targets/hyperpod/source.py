"""Where the operator fetches the weights from: `modelSourceConfig`, and the volume of a claim (facts.md 1.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from endpoints.states import Cause
from endpoints.targets.base import Spec, TargetError, Weights
from endpoints.targets.kubernetes.names import secret_key, secret_name
from endpoints.targets.kubernetes.weights import CLAIM, claim_of
from models_catalog.choices import ArtifactKind
from models_catalog.locations import COMMIT

from .place import HyperPodPlace

VOLUME = "model"  # of our own in the pod, and of its mount


def source_of(spec: Spec, place: HyperPodPlace) -> dict[str, Any]:
    """Raises TargetError, permanent, for what the operator can't fetch."""
    claim = claim_of(spec.wanted)
    if claim is not None:
        return _claim(claim)
    make = _SOURCES.get(spec.wanted.artifact_kind)
    if make is None:
        _refuse(spec, _("HyperPod can't load weights from %(location)s: put them into S3 or FSx, or name a hub's model or a "
                        "claim."))
    return make(spec, place)


def volumes_of(spec: Spec) -> list[dict[str, Any]]:
    claim = claim_of(spec.wanted)
    return [] if claim is None else [{"name": VOLUME, "persistentVolumeClaim": {"claimName": claim.claim, "readOnly": True}}]


def _claim(claim: Weights) -> dict[str, Any]:
    """The operator mounts the volume of the mount's name; not verified on AWS."""
    return {"modelSourceType": "kubernetesVolume", **({"modelLocation": claim.folder} if claim.folder else {})}


def _s3(spec: Spec, place: HyperPodPlace) -> dict[str, Any]:
    """A fine-tuned model's folder, such as …/finetuned_model_merged/, is a prefix as any other."""
    url = urlsplit(spec.wanted.artifact_location)
    if not place.region:
        raise TargetError(Cause.REFUSED, _("The region of %(place)s is not known: connect it with its AWS account.") % {
            "place": place.view.name}, permanent=True)
    return {"modelSourceType": "s3", "modelLocation": url.path.strip("/"),
            "s3Storage": {"bucketName": url.netloc, "region": place.region}}


def _fsx(spec: Spec, _place: HyperPodPlace) -> dict[str, Any]:
    url = urlsplit(spec.wanted.artifact_location)
    folder = url.path.strip("/")
    return {"modelSourceType": "fsx", **({"modelLocation": folder} if folder else {}),
            "fsxStorage": {"fileSystemId": url.netloc}}


def _hub(spec: Spec, _place: HyperPodPlace) -> dict[str, Any]:
    revision = spec.wanted.artifact_revision
    if revision not in ("", "main") and not COMMIT.fullmatch(revision):
        _refuse(spec, _("HyperPod takes a commit of 40 hex digits and no branch or tag of %(location)s: enter the commit as "
                        "the artifact's revision."))
    model: dict[str, Any] = {"modelId": spec.wanted.artifact_location}
    if COMMIT.fullmatch(revision):
        model["commitSHA"] = revision
    if spec.wanted.hub_token:
        model["tokenSecretRef"] = {"name": secret_name(spec), "key": secret_key("hub", spec.wanted.hub_token)}
    return {"modelSourceType": "huggingface", "huggingFaceModel": model}


def _volume(spec: Spec, _place: HyperPodPlace) -> NoReturn:
    """`claim_of` knows every claim; what is left is another kind of volume."""
    assert not CLAIM.fullmatch(spec.wanted.artifact_location), "claims are known"
    _refuse(spec, _("Pods of a workspace mount claims only: make a claim for %(location)s and write it as pvc://claim/folder."))


def _archive(spec: Spec, _place: HyperPodPlace) -> NoReturn:
    """A copy of it may still be loaded into the cluster, and is mounted then."""
    raise TargetError(Cause.NOT_LOADED, _(
        "The weights at %(location)s are not in this cluster yet: preheat the artifact here.") % {
            "location": spec.wanted.artifact_location})


def _refuse(spec: Spec, why: str) -> NoReturn:
    raise TargetError(Cause.REFUSED, why % {"location": spec.wanted.artifact_location}, permanent=True)


_SOURCES: dict[str, Callable[[Spec, HyperPodPlace], dict[str, Any]]] = {
    ArtifactKind.S3: _s3, ArtifactKind.FSX: _fsx, ArtifactKind.HUGGING_FACE: _hub, ArtifactKind.VOLUME: _volume,
    ArtifactKind.HTTP: _archive,
}
