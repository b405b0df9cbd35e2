"""What can't be deployed to a HyperPod cluster at all, said before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from endpoints.states import Cause
from endpoints.targets.base import Spec, TargetError
from models_catalog.choices import ArtifactKind

from .engine import PORTS
from .names import check_name
from .place import HyperPodPlace


def check(spec: Spec, place: HyperPodPlace) -> None:
    """Raises TargetError, permanent."""
    check_name(spec)
    why = next(_whys(spec, place), "")
    if why:
        raise TargetError(Cause.REFUSED, why, permanent=True)


def _whys(spec: Spec, place: HyperPodPlace) -> Iterator[str]:
    wanted = spec.wanted
    if wanted.resources.nodes > 1:
        yield _("HyperPod's inference operator keeps a replica on one machine: choose a profile for one node.")
    if wanted.resources.devices:
        yield _("A cluster chooses GPUs itself: leave the GPU numbers empty.")
    if wanted.artifact_kind == ArtifactKind.JUMPSTART:
        if not place.has_jumpstart:
            yield _("%(place)s has no JumpStartModel: update its inference operator.") % {"place": place.view.name}
        return
    if wanted.engine not in PORTS:
        yield _("HyperPod runs vLLM, SGLang and LMI, not %(engine)s.") % {"engine": wanted.engine}
    if not wanted.image:
        yield _("The engine release %(release)s has no image that a cluster could pull: give it one in the catalogue.") % {
            "release": wanted.release}
