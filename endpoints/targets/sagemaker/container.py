"""The container of a model: its image, its environment and where its weights come from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from endpoints.states import Cause
from endpoints.targets.base import RevisionSpec, Spec, TargetError
from models_catalog.choices import ArtifactKind
from models_catalog.container_env import container_environment
from models_catalog.images import image_for
from portal.tenancy.errors import Invalid

from .place import PlaceView

# Where SageMaker puts what it copies from S3 (facts.md 2.5).
MODEL_FOLDER = "/opt/ml/model"
HUB_TOKEN = "HF_TOKEN"  # noqa: S105  The name of a variable.
ARCHIVES = (".tar.gz", ".tgz")


def container_of(spec: Spec, place: PlaceView, override: Mapping[str, Any]) -> dict[str, Any]:
    """PrimaryContainer of a model; `override` is what one variant has of its own. Raises TargetError, permanent."""
    wanted = spec.wanted
    image, engine = _image_and_engine(spec, place, override.get("Arguments", {}))
    environment = {**engine, **wanted.environment, **override.get("Environment", {})}
    if wanted.artifact_kind == ArtifactKind.S3:
        return {"Image": image, "Environment": environment, "ModelDataSource": {"S3DataSource": s3_source(wanted)}}
    _check_source(wanted, place)
    token = {HUB_TOKEN: wanted.hub_token} if wanted.hub_token else {}
    return {"Image": image, "Environment": {**environment, **token}}


def s3_source(revision: RevisionSpec) -> dict[str, Any]:
    """A folder is copied as it is, and its address must end with a slash (facts.md 2.5); an archive is unpacked."""
    location = revision.artifact_location
    if location.endswith(ARCHIVES):
        return {"S3Uri": location, "S3DataType": "S3Object", "CompressionType": "Gzip"}
    return {"S3Uri": location.rstrip("/") + "/", "S3DataType": "S3Prefix", "CompressionType": "None"}


def _image_and_engine(spec: Spec, place: PlaceView, own: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    wanted = spec.wanted
    if not wanted.image:
        raise _refused(_("Engine release %(release)s has no container image. Enter one that is made for SageMaker.") % {
            "release": wanted.release})
    try:
        return image_for(wanted.image, place.region), _engine(spec, own)
    except Invalid as error:
        raise TargetError(Cause.INVALID, error.message, permanent=True) from error


def _engine(spec: Spec, own: Mapping[str, Any]) -> dict[str, str]:
    wanted = spec.wanted
    is_hub = wanted.artifact_kind == ArtifactKind.HUGGING_FACE
    pinned = {"revision": wanted.artifact_revision} if is_hub and wanted.artifact_revision else {}
    return container_environment(
        wanted.engine, {**wanted.arguments, **own, **pinned}, model_path=wanted.artifact_location if is_hub else MODEL_FOLDER,
        served_name=spec.public_name, gpus=wanted.resources.gpus)


def _check_source(wanted: RevisionSpec, place: PlaceView) -> None:
    kind = wanted.artifact_kind
    if kind == ArtifactKind.JUMPSTART:
        raise _refused(_("JumpStart models can be deployed to HyperPod clusters, not to SageMaker endpoints yet."))
    if kind != ArtifactKind.HUGGING_FACE:
        raise _refused(_("SageMaker can't load weights of kind %(kind)s: copy them to S3.") % {"kind": kind})
    if place.network_isolation:
        raise _refused(_("Containers of this place have no network, so they can't load from Hugging Face: copy the weights to "
                         "S3."))


def _refused(message: str) -> TargetError:
    return TargetError(Cause.REFUSED, message, permanent=True)
