"""What can't be deployed to a cluster at all, said before anything is sent."""

from __future__ import annotations

from django.utils.translation import gettext as _

from endpoints.states import Cause
from endpoints.targets.base import RevisionSpec, Spec, TargetError
from models_catalog.choices import ArtifactKind, Device, EngineKind

from .names import check_name
from .place import PlaceView
from .weights import CLAIM, claim_of


def check(spec: Spec, place: PlaceView) -> None:
    """Raises TargetError; only missing weights are not permanent, because they may still arrive."""
    check_name(spec)
    wanted = spec.wanted
    why = _why_no_engine(wanted) or _why_no_gpu(wanted, place)
    if why:
        raise TargetError(Cause.REFUSED, why, permanent=True)
    if wanted.resources.nodes > 1 and not place.has("lws"):
        raise TargetError(Cause.NO_KIND, _(
            "A replica over %(nodes)d nodes needs LeaderWorkerSet, which is not installed in this cluster: install it and test "
            "the connection, or choose a profile for one node.") % {"nodes": wanted.resources.nodes}, permanent=True)
    _check_weights(wanted)


def _why_no_engine(wanted: RevisionSpec) -> str:
    if wanted.engine == EngineKind.LMI:
        return _("LMI images are started by SageMaker and HyperPod: choose a vLLM or SGLang release for this cluster.")
    if not wanted.image or "{" in wanted.image:
        return _("The engine release %(release)s has no image that a cluster could pull: give it one in the catalogue.") % {
            "release": wanted.release}
    return ""


def _why_no_gpu(wanted: RevisionSpec, place: PlaceView) -> str:
    if wanted.resources.devices:
        return _("A cluster chooses GPUs itself: leave the GPU numbers empty.")
    if wanted.device == Device.CUDA and place.all_gpus_simulated:
        return _("All GPUs of %(place)s are simulated (run.ai/fake.gpu): a CUDA engine would pass the GPU check and crash. "
                 "Choose a CPU release.") % {"place": place.name}
    return ""


def _check_weights(wanted: RevisionSpec) -> None:
    if claim_of(wanted) is not None or wanted.artifact_kind == ArtifactKind.HUGGING_FACE:
        return
    if wanted.artifact_kind in (ArtifactKind.HTTP, ArtifactKind.S3):
        raise TargetError(Cause.NOT_LOADED, _(
            "The weights at %(location)s are not in this cluster yet: preheat the artifact here.") % {
                "location": wanted.artifact_location})
    if wanted.artifact_kind == ArtifactKind.VOLUME and not CLAIM.fullmatch(wanted.artifact_location):
        why = _("Pods of a workspace mount claims only: make a claim for %(location)s and write it as pvc://claim/folder.")
    else:
        why = _("A cluster can't load weights from %(location)s: use a hub, a claim, or an address that can be preheated.")
    raise TargetError(Cause.REFUSED, why % {"location": wanted.artifact_location}, permanent=True)
