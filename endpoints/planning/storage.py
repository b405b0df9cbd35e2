"""Where a pod will find its weights, how much room that takes, and whether the room is there."""

from __future__ import annotations

from django.utils.translation import gettext as _

from clusters.units import GIB
from endpoints.targets.base import Check, Spec, Weights
from endpoints.targets.kubernetes.weights import CACHE_SPARE, cache_bytes, claim_of
from models_catalog.sizing import volume_bytes

from .facts import ClaimView, Facts

NAME = "storage"


def gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"


def storage(spec: Spec, facts: Facts) -> Check:
    """A claim that holds the weights already, or the disk of each pod's node."""
    mounted = claim_of(spec.wanted)
    if mounted is None:
        return _fetched(spec, facts)
    if facts.claim is None:
        return Check(NAME, True, _("Pods read the weights from the claim %(claim)s.") % {"claim": mounted.claim})
    return _read(spec, mounted, facts.claim)


def _read(spec: Spec, mounted: Weights, claim: ClaimView) -> Check:
    weights, names = spec.wanted.weights_bytes, {"claim": mounted.claim, "namespace": spec.namespace}
    if not claim.there and spec.wanted.weights is not None:
        return Check(NAME, True, _("Pods read the weights from the preheated copy: claim %(claim)s is made with them.") % names)
    if not claim.there:
        return Check(NAME, False, _("There is no claim %(claim)s in namespace %(namespace)s: make it first.") % names)
    lines = (_("Claim %(claim)s: %(size)s of storage class %(class)s") % {
        **names, "size": gib(claim.size), "class": claim.storage_class or "–"}, _("Weights: %(size)s") % {"size": gib(weights)})
    if claim.phase == "Lost":
        return Check(NAME, False, _("The volume of claim %(claim)s is gone: make the claim anew.") % names, lines)
    if 0 < claim.size < weights:
        return Check(NAME, False, _("The claim %(claim)s is too small for the weights.") % names, lines)
    if claim.phase != "Bound":
        return Check(NAME, None, _("The claim %(claim)s has no volume yet: pods wait for it.") % names, lines)
    if claim.on_one_node and spec.replicas * spec.wanted.resources.nodes > 1:
        return Check(NAME, None, _("One node at a time can mount the claim %(claim)s: all pods must run there.") % names, lines)
    return Check(NAME, True, _("Pods read the weights from the claim %(claim)s.") % names, lines)


def _fetched(spec: Spec, facts: Facts) -> Check:
    needed = cache_bytes(spec.wanted)
    if needed is None:
        return Check(NAME, None, _("Each pod fetches the weights to its node's disk. Their size is not known, so whether "
                                   "there is room isn't either: enter it at the model."))
    largest = max((node.disk for node in facts.nodes), default=0)
    words = {"size": gib(needed), "largest": gib(largest)}
    lines = (_("Weights with a fifth to spare: %(size)s") % {"size": gib(needed - CACHE_SPARE)},
             _("Compiled kernels and caches: %(size)s") % {"size": gib(CACHE_SPARE)},
             *_preheated(spec.wanted.weights_bytes, facts))
    if 0 < largest < needed:
        return Check(NAME, False, _("Each pod fetches the weights to its node's disk and needs %(size)s there; the largest "
                                    "node has %(largest)s. Preheat the model, or use nodes with more disk.") % words, lines)
    return Check(NAME, True, _("Each pod fetches the weights to its node's disk, %(size)s of it, and anew when it comes again. "
                               "Preheat the model to keep one copy.") % words, lines)


def _preheated(weights: int, facts: Facts) -> tuple[str, ...]:
    """What keeping one copy instead would take, and whether the cluster has it."""
    if facts.storage_classes is None:
        return ()
    size, left = volume_bytes(weights), facts.quota_left.get("requests.storage")
    if not facts.storage_classes:
        return (_("A preheated copy would need a storage class, and the cluster has none"),)
    if left is not None and left < size:
        return (_("A preheated copy would take %(size)s, and the namespace's quota leaves %(left)s") % {
            "size": gib(size), "left": gib(max(0, left))},)
    if not facts.default_storage_class:
        return (_("A preheated copy would take %(size)s; name a storage class, because the cluster has no default") % {
            "size": gib(size)},)
    return (_("A preheated copy would take %(size)s of storage class %(class)s") % {
        "size": gib(size), "class": facts.default_storage_class},)
