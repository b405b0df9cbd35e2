"""What would stop a deployment, found before any object is made: one list, each line red or green, with its sum."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from endpoints.targets.base import Check, ModelFacts, RevisionSpec, Spec
from endpoints.targets.kubernetes.weights import cache_bytes
from models_catalog.choices import EngineKind
from models_catalog.registries import registry_of, wants_login
from models_catalog.sizing import Fit, Shape, fit

from .facts import Facts, NodeView
from .storage import gib, storage

NO_EFFECT = frozenset({"PreferNoSchedule"})  # the scheduler avoids such a node, but takes it


def preflight(spec: Spec, facts: Facts) -> tuple[Check, ...]:
    """Every check of a deployment to a Kubernetes cluster, the red ones first. Pure."""
    return ranked(check for rule in RULES if (check := rule(spec, facts)) is not None)


def ranked(checks: Iterable[Check]) -> tuple[Check, ...]:
    """The red ones first."""
    return tuple(sorted(checks, key=lambda check: {False: 0, None: 1, True: 2}[check.ok]))


def _reach(_spec: Spec, facts: Facts) -> Check:
    if not facts.reachable:
        return Check("cluster", False, _("The cluster can't be reached: %(why)s") % {"why": facts.unreachable_why})
    if facts.missing_rights:
        return Check("cluster", False, _("The cluster's credential lacks rights. Grant them on the place's page."),
                     facts.missing_rights)
    return Check("cluster", True, _("The cluster answers and the credential has every right that is needed."))


def _name(spec: Spec, _facts: Facts) -> Check:
    length = len(spec.object_name)
    if length > 50:
        return Check("name", False, _("The objects' name %(name)s has %(length)d characters; 50 are the most.") % {
            "name": spec.object_name, "length": length})
    return Check("name", True, _("The objects will be called %(name)s.") % {"name": spec.object_name})


def _image(spec: Spec, _facts: Facts) -> Check:
    image = spec.wanted.image
    if not image:
        return Check("image", False, _("Engine release %(release)s has no container image. Enter one, best with its digest.")
                     % {"release": spec.wanted.release})
    if "{" in image:
        return Check("image", False, _("The image %(image)s is a pattern: write the one of your region at %(release)s.") % {
            "image": image, "release": spec.wanted.release})
    if "@sha256:" not in image:
        return Check("image", None, _("The image %(image)s is named by a tag, which can change. A digest can't.")
                     % {"image": image})
    return Check("image", True, _("The image is pinned by its digest."))


def _login(spec: Spec, _facts: Facts) -> Check | None:
    """Nodes may have rights of their own to pull, as those of EKS have at ECR, so a missing login is no refusal."""
    wanted = spec.wanted
    registry = registry_of(wanted.image)
    if wanted.registry_password:
        return Check("login", True, _("The nodes log in to %(registry)s as %(user)s.") % {
            "registry": registry, "user": wanted.registry_user})
    if not wants_login(wanted.image):
        return None
    return Check("login", None, _("%(registry)s seldom gives an image without a login, and release %(release)s has none. Enter "
                                  "one there, unless the nodes may pull by themselves.") % {
        "registry": registry, "release": wanted.release})


def code_check(spec: Spec) -> Check | None:
    """LMI's handlers run a ``model.py`` that lies beside the weights (djl-serving, custom_formatter_handling.py)."""
    if spec.wanted.engine != EngineKind.LMI:
        return None
    return Check("code", None, _("LMI runs a model.py that lies beside the weights in %(location)s: deploy only weights that "
                                 "you trust.") % {"location": spec.wanted.artifact_location})


def _token(spec: Spec, facts: Facts) -> Check | None:
    if not facts.model.gated or spec.wanted.weights is not None:
        return None
    if spec.wanted.hub_token:
        return Check("token", True, _("The model is gated and its artifact has a token."))
    return Check("token", False, _("The model is gated: its hub asks for a token. Enter one at the artifact."))


def _abilities(spec: Spec, facts: Facts) -> Check | None:
    needed = {"lws": spec.wanted.resources.nodes > 1, "keda": spec.autoscale is not None}
    names = {"lws": "LeaderWorkerSet", "keda": "KEDA"}
    wanted = [key for key, is_needed in needed.items() if is_needed]
    missing = [names[key] for key in wanted if key not in facts.capabilities]
    if missing:
        return Check("controllers", False, _("The cluster lacks %(what)s. Install it, or do without.") % {
            "what": ", ".join(missing)})
    if wanted:
        return Check("controllers", True, _("%(what)s is there.") % {"what": ", ".join(names[key] for key in wanted)})
    return None


def _quota(spec: Spec, facts: Facts) -> Check | None:
    needed = needs_of(spec)
    over = [f"{name}: {needed[name]} > {left}" for name, left in sorted(facts.quota_left.items())
            if needed.get(name, 0) > max(0, left)]
    if over:
        return Check("quota", False, _("The namespace's quota leaves too little."), tuple(over))
    return Check("quota", True, _("The namespace's quota leaves enough.")) if facts.quota_left else None


def needs_of(spec: Spec) -> dict[str, int]:
    """What all replicas together ask for, under the names that a ResourceQuota uses; CPU in thousandths."""
    one, pods = spec.wanted.resources, spec.replicas * spec.wanted.resources.nodes
    disk = cache_bytes(spec.wanted) or 0
    if spec.autoscale is not None:
        pods = spec.autoscale.max_replicas * one.nodes
    return {"pods": pods, "requests.cpu": pods * one.cpu_millis, "requests.memory": pods * one.memory_bytes,
            "requests.nvidia.com/gpu": pods * one.gpus, "requests.ephemeral-storage": pods * disk,
            "limits.memory": pods * one.memory_bytes, "limits.ephemeral-storage": pods * disk}


def _simulated(spec: Spec, facts: Facts) -> Check | None:
    gpus = [node for node in facts.nodes if node.gpus]
    if not spec.wanted.resources.gpus or not gpus or not all(node.simulated for node in gpus):
        return None
    return Check("simulated", False, _("The GPUs of this cluster are simulated: a CUDA engine would crash there. "
                                       "Choose a profile for CPUs."))


def _memory(spec: Spec, facts: Facts) -> Check | None:
    """Weights, cache and overhead against one GPU of each kind that the cluster has."""
    return memory_check(spec.wanted, facts.model, {
        (node.gpu_memory, node.gpu_model) for node in facts.nodes if node.gpus and node.gpu_memory})


def memory_check(revision: RevisionSpec, of: ModelFacts, gpus: Collection[tuple[int, str]]) -> Check | None:
    """The smallest of these GPUs (bytes, name) that holds the model, or why the largest does not."""
    shape = of.shape
    if shape is None or not revision.resources.gpus or not revision.weights_bytes or not gpus:
        return None
    results = [(model, size, fit_of(revision, shape, size, of.context_tokens)) for size, model in sorted(gpus)]
    model, size, shown = next((result for result in results if result[2].fits), results[-1])
    if shown.fits:
        return Check("memory", True, _("The model fits on %(gpu)s, with room for %(count).1f full-length calls at once.") % {
            "gpu": model or _("the GPU"), "count": shown.concurrency}, sum_lines(shown, size))
    return Check("memory", False, _("The model does not fit: the largest GPU here has %(size)s, %(needed)s are needed.") % {
        "size": gib(size), "needed": gib(shown.needed)}, sum_lines(shown, size))


def fit_of(revision: RevisionSpec, shape: Shape, gpu_bytes: int, context: int) -> Fit:
    """The sum for one GPU of this size, with the arguments of the revision."""
    arguments = revision.arguments
    return fit(
        shape, revision.weights_bytes, gpu_bytes, context=int(arguments.get("max-model-len") or context or 4096),
        tensor_parallel=int(arguments.get("tensor-parallel-size", 1)),
        pipeline_parallel=int(arguments.get("pipeline-parallel-size", 1)),
        value_bytes=1 if str(arguments.get("kv-cache-dtype", "")).startswith("fp8") else 2,
        utilisation=float(arguments.get("gpu-memory-utilization", 0.92)))


def sum_lines(result: Fit, gpu_bytes: int) -> tuple[str, ...]:
    return (
        _("Weights on each GPU: %(size)s") % {"size": gib(result.weights)},
        _("Cache for one full-length call: %(size)s") % {"size": gib(result.cache)},
        _("Overhead of the engine: %(size)s") % {"size": gib(result.overhead)},
        _("Together %(sum)s of %(budget)s that the engine may take of %(all)s") % {
            "sum": gib(result.weights + result.cache + result.overhead), "budget": gib(result.budget), "all": gib(gpu_bytes)},
    )


def _room(spec: Spec, facts: Facts) -> Check:
    """Where each pod that is not there yet would go now; what keeps the other nodes out."""
    if not facts.nodes:
        return Check("room", None, _("The cluster's nodes are not known yet. Refresh the place."))
    reasons = {node.name: why_not(spec.wanted, node) for node in facts.nodes}
    fits = sum(pods_on(spec.wanted, node) for node in facts.nodes if not reasons[node.name])
    wanted = max(0, spec.replicas * spec.wanted.resources.nodes - facts.pods_there)
    if not wanted:
        return Check("room", True, _("Its pods have their places already."))
    lines = tuple(f"{name}: {reason or _('has room')}" for name, reason in sorted(reasons.items()))
    if fits >= wanted:
        return Check("room", True, ngettext("There is room for the pod.", "There is room for all %(count)d pods.", wanted)
                     % {"count": wanted}, lines)
    if fits:
        return Check("room", False, _("There is room for %(fits)d of %(count)d pods now.") % {
            "fits": fits, "count": wanted}, lines)
    return Check("room", False, _("No node can take a pod now."), lines)


def why_not(revision: RevisionSpec, node: NodeView) -> str:
    """Why this node takes no pod of the revision now, with the figures, or ""."""
    words = hindrance(revision, node)
    return words() if words else ""


def hindrance(revision: RevisionSpec, node: NodeView) -> Callable[[], str] | None:
    """The same, as what finds the words: of many nodes few are told about."""
    need, placement = revision.resources, revision.placement
    if not node.ready:
        return lambda: _("is not ready")
    if not node.schedulable:
        return lambda: _("is cordoned")
    unmatched = {key: value for key, value in placement.node_selector.items() if node.labels.get(key) != value}
    if unmatched:
        return lambda: _("lacks the label %(label)s") % {"label": "=".join(next(iter(unmatched.items())))}
    taint = next((taint for taint in node.taints if not tolerated(taint, placement.tolerations)), None)
    if taint is not None:
        return lambda: _("has the taint %(taint)s, which the profile does not tolerate") % {"taint": taint.get("key", "")}
    if need.gpus and node.simulated:
        return lambda: _("has simulated GPUs only")
    return _shortage(revision, node)


def _shortage(revision: RevisionSpec, node: NodeView) -> Callable[[], str] | None:
    need = revision.resources
    amounts = (("GPU", need.gpus, node.gpus_free, str), ("CPU", need.cpu_millis, node.cpu_free, _cpus),
               ("memory", need.memory_bytes, node.memory_free, gib), ("disk", _disk(revision, node), node.disk_free, gib))
    lacks: list[tuple[str, int, int, Callable[[int], str]]] = [one for one in amounts if one[1] > one[2]]
    if not lacks:
        return None
    name, wanted, free, shown = lacks[0]
    return lambda: _("%(what)s: %(wanted)s wanted, %(free)s free") % {
        "what": {"memory": _("memory"), "disk": _("disk")}.get(name, name), "wanted": shown(wanted),
        "free": shown(max(0, free))}


def _disk(revision: RevisionSpec, node: NodeView) -> int:
    """What a pod asks of the node's disk; nothing where one of the two is not known."""
    return (cache_bytes(revision) or 0) if node.disk else 0


def _cpus(millis: int) -> str:
    return f"{millis / 1000:g}"


def pods_on(revision: RevisionSpec, node: NodeView) -> int:
    """How many pods of the revision the node takes beside what it has."""
    need = revision.resources
    shares = [(need.gpus, node.gpus_free), (need.cpu_millis, node.cpu_free), (need.memory_bytes, node.memory_free),
              (_disk(revision, node), node.disk_free)]
    return min(free // wanted for wanted, free in shares if wanted)


def tolerated(taint: Mapping[str, Any], tolerations: tuple[Mapping[str, Any], ...]) -> bool:
    """Whether a pod with these tolerations may run on a node with this taint."""
    if taint.get("effect") in NO_EFFECT:
        return True
    return any(_matches(taint, toleration) for toleration in tolerations)


def _matches(taint: Mapping[str, Any], toleration: Mapping[str, Any]) -> bool:
    """Kubernetes' rule: an empty key with Exists tolerates all, an empty effect every effect."""
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint.get("key"))
    return toleration.get("key") == taint.get("key") and toleration.get("value", "") == taint.get("value", "")


Rule = Callable[[Spec, Facts], Check | None]
# Those of every place with a Kubernetes API, and what comes on top in a cluster of one's own.
SHARED: tuple[Rule, ...] = (
    _reach, _name, _image, _login, lambda spec, _facts: code_check(spec), _token, _simulated, _memory, _room, _quota)
RULES: tuple[Rule, ...] = (*SHARED, _abilities, storage)
