"""What `apply` would change in the cluster, object by object and field by field, by the server's own dry run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext as _

from clusters.drivers.kinds import NAMESPACE, kind_of
from clusters.drivers.kube import Kube
from clusters.drivers.kube_errors import KubeError, Problem
from endpoints.planning.diff import digest, object_of, step_of
from endpoints.targets.base import FieldChange, Plan, Spec, Step

from .bundle import Bundle, Key, There, apply, key_of, stamped
from .names import APPLIED, GENERATION
from .seen import Workload

WORKERS = 6
# Marks of our own, which change with every step and mean nothing to people.
OURS = tuple(f"metadata.annotations.{name}" for name in (APPLIED, GENERATION))
Manifest = dict[str, Any]
Dry = tuple[Step, Manifest | None]  # what would happen to an object, and the object as it is now
# From a manifest and what is there of it to what the next step would send.
Stage = Callable[[Manifest, Workload | None], Manifest]


def plan(
    kube: Kube, bundle: Bundle, spec: Spec, made: Sequence[Manifest], around: Sequence[Manifest], *, stage: Stage,
) -> Plan:
    """The plan of one step; `around` is what the namespace itself is made of, where it is ours to make."""
    if kube.get(NAMESPACE, "", spec.namespace) is None:
        objects = [*around, *made]
        steps = [step_of(None, each) for each in objects]
        return Plan(tuple(map(_told, steps)), digest(steps, [None] * len(steps)))
    there = bundle.live()
    sent = [stamped(stage(each, _workload(there.get(key_of(each))))) for each in made]
    pairs = _all(lambda each: _dry(kube, spec, each, there), sent)
    gone = [key for key in there if key not in set(map(key_of, made))]
    steps = [step for step, _live in pairs] + [_deletion(key) for key in gone]
    return Plan(tuple(map(_told, steps)), digest(steps, [live for _step, live in pairs]))


def _workload(live: object) -> Workload | None:
    return live if isinstance(live, Workload) else None


def _all(work: Callable[[Manifest], Dry], items: Sequence[Manifest]) -> list[Dry]:
    """The calls of several objects at once: each is a round trip or two."""
    with ThreadPoolExecutor(WORKERS, "plan") as workers:
        return list(workers.map(work, items))


def _dry(kube: Kube, spec: Spec, sent: Manifest, there: There) -> Dry:
    """The step for one object, and the object as it is now. Raises KubeError for what concerns the whole cluster."""
    live = kube.get(kind_of(sent), spec.namespace, sent["metadata"]["name"])
    if live is not None and key_of(sent) not in there:
        return Step("taken", object_of(sent), _("An object of this name is there and is not ours.")), live
    try:
        after = apply(kube, spec, sent, dry_run=True)
    except KubeError as error:
        if error.problem not in (Problem.CONFLICT, Problem.INVALID):
            raise
        return _refused(error, sent), live
    # What the server adds to a new object are its defaults: they are no news to anybody.
    return step_of(live, after if live is not None else sent), live


def _refused(error: KubeError, sent: Manifest) -> Step:
    owned = tuple(FieldChange(object_of(sent), fault.field.removeprefix("."), manager=fault.message) for fault in error.faults)
    verb = "conflict" if error.problem is Problem.CONFLICT else "refused"
    return Step(verb, object_of(sent), error.message, owned)


def _deletion(key: Key) -> Step:
    return Step("delete", f"{key[0].kind}/{key[1]}")


def _told(step: Step) -> Step:
    """Without our own marks; an object of which only they change stays as it is."""
    fields = tuple(field for field in step.fields if field.path not in OURS)
    verb = "keep" if step.verb == "change" and not fields else step.verb
    return replace(step, verb=verb, fields=fields)

