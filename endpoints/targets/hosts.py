"""Hosts with an agent: one engine process a replica, placed by claims, replaced one by one on an update."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from clusters.drivers import hosts
from clusters.models import Cluster, Engine
from clusters.placement import Need, rank, refusal
from clusters.states import Phase
from endpoints.explaining import Condition, Evidence, Replica, Trouble
from endpoints.planning.diff import digest
from endpoints.planning.preflight import memory_check
from endpoints.states import Cause
from models_catalog.arguments import to_argv
from models_catalog.choices import ON_HOSTS, ArtifactKind
from portal.tenancy.text import clean

from .asked import asked_of
from .base import (
    LOG_CHARS,
    LOG_LINES,
    Check,
    ModelFacts,
    Observation,
    Plan,
    ReplicaSeen,
    RevisionSpec,
    Spec,
    Step,
    TargetError,
)
from .engine_pages import fetch_pages


@dataclass(frozen=True)
class Start:
    """Begin replica `index` with the wanted revision."""

    index: int


@dataclass(frozen=True)
class Stop:
    uid: UUID
    why: str


@dataclass(frozen=True)
class Retire:
    """Take it out of service first (or, `back`, put it in again)."""

    uid: UUID
    why: str
    back: bool = False


@dataclass(frozen=True)
class Drop:
    uid: UUID
    why: str


AnyStep = Start | Stop | Retire | Drop


def next_steps(spec: Spec, engines: Sequence[Engine]) -> list[AnyStep]:
    """What to do now, by what is there. Pure.

    A missing replica starts at once; a replica of another revision is replaced one at a time: it is
    retired only when its successor is ready, and stopped when its calls have had time to end.
    """
    steps: list[AnyStep] = [Drop(e.uid, "its host is lost") for e in engines if e.phase == Phase.LOST]
    there = [e for e in engines if e.phase != Phase.LOST]
    new = {e.index: e for e in there if e.revision == spec.wanted.number}
    old = {e.index: e for e in there if e.revision != spec.wanted.number}
    for engine in there:
        steps += _ending(engine, _why_stop(spec, engine, new))
    missing = [i for i in range(spec.replicas) if i not in new]
    steps += [Start(i) for i in missing if i not in old]
    replacing = any(i in old for i in new)
    steps += [Start(i) for i in missing if i in old][: 0 if replacing else 1]
    return steps


def _ending(engine: Engine, why: str) -> list[AnyStep]:
    if engine.stop:
        return []
    if not why:
        return [Retire(engine.uid, "it is wanted again", back=True)] if engine.retired_at else []
    if is_ready(engine):
        return [Retire(engine.uid, why)]
    calls_may_run = engine.phase == Phase.READY and not getattr(engine, "drained", False)
    return [] if calls_may_run else [Stop(engine.uid, why)]


def _why_stop(spec: Spec, engine: Engine, new: dict[int, Engine]) -> str:
    if engine.index >= spec.replicas:
        return "one replica fewer is wanted"
    if engine.revision == spec.wanted.number:
        retried = engine.phase == Phase.CRASHLOOP and engine.launch.get("generation", 0) < spec.generation
        return "it is tried again" if retried else ""
    successor = new.get(engine.index)
    return f"replaced by revision {spec.wanted.number}" if successor is not None and is_ready(successor) else ""


def is_ready(engine: Engine) -> bool:
    """Whether it takes calls: it answers, and is neither retired nor to be stopped."""
    return engine.phase == Phase.READY and not engine.stop and engine.retired_at is None


def launch_order(spec: Spec, revision: RevisionSpec) -> dict[str, Any]:
    """The order for the agent: a list of arguments and an environment, never a shell line. Pure."""
    argv = ["--model", revision.artifact_location]
    if revision.artifact_kind == ArtifactKind.HUGGING_FACE and revision.artifact_revision:
        argv += ["--revision", revision.artifact_revision]
    argv += ["--served-model-name", spec.public_name, *to_argv(revision.arguments)]
    return {
        "engine": revision.engine, "release": revision.release, "argv": argv, "env": dict(revision.environment),
        "devices": list(revision.resources.devices), "start_seconds": revision.start_seconds,
        "generation": spec.generation,
    }


class HostsTarget:
    """The target of a place of hosts. Implements endpoints.targets.base.Target and Scales."""

    max_replicas = 64

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def render(self, spec: Spec) -> list[dict[str, Any]]:
        return [{"replica": index, **launch_order(spec, spec.wanted)} for index in range(spec.replicas)]

    def plan(self, spec: Spec) -> Plan:
        engines = {engine.uid: engine for engine in hosts.engines_of(self.cluster, [spec.uid])}
        steps = tuple(_planned(spec, step, engines) for step in next_steps(spec, list(engines.values())))
        return Plan(steps, digest(steps, ()))

    def checks(self, spec: Spec, model: ModelFacts) -> tuple[Check, ...]:
        nodes, need = hosts.room(self.cluster, endpoint_uid=spec.uid), _need(spec)
        devices = [device for node in nodes for device in node.devices]
        found = [memory_check(spec.wanted, model, {(device.memory_bytes, "") for device in devices})]
        if rank(nodes, need) or any(
                engine.revision == spec.wanted.number for engine in hosts.engines_of(self.cluster, [spec.uid])):
            found.append(Check("room", True, _("There is a host with room for a replica.")))
        else:
            found.append(Check("room", False, refusal(nodes, need)))
        return tuple(check for check in found if check is not None)

    def apply(self, spec: Spec) -> None:
        if spec.wanted.artifact_kind not in ON_HOSTS:
            raise TargetError(Cause.REFUSED, _("An agent can't load weights of kind %(kind)s.") % {
                "kind": spec.wanted.artifact_kind}, permanent=True)
        no_room = ""
        for step in next_steps(spec, hosts.engines_of(self.cluster, [spec.uid])):
            match step:
                case Stop(uid=uid):
                    hosts.stop_engine(uid)
                case Retire(uid=uid, back=back):
                    hosts.retire_engine(uid, retired=not back)
                case Drop(uid=uid):
                    hosts.drop_engine(uid)
                case Start(index=index):
                    no_room = self._start(spec, index) or no_room
        if no_room:
            raise TargetError(Cause.NO_ROOM, no_room)

    def _start(self, spec: Spec, index: int) -> str:
        """Place one replica; why there is no room, or ""."""
        try:
            hosts.place_engine(
                self.cluster, _need(spec), endpoint_uid=spec.uid, label=f"{spec.workspace}/{spec.name}",
                revision=spec.wanted.number, index=index, launch=launch_order(spec, spec.wanted),
                token=secrets.token_urlsafe(32), hub_token=spec.wanted.hub_token)
        except hosts.NoRoom as error:
            return str(error)
        return ""

    def observe(self, uids: Collection[UUID] | None = None) -> dict[UUID, Observation]:
        found: dict[UUID, list[ReplicaSeen]] = {}
        for engine in hosts.engines_of(self.cluster, None if uids is None else list(uids)):
            found.setdefault(engine.endpoint_uid, []).append(_seen(engine))
        return {uid: Observation(tuple(replicas), source="agent") for uid, replicas in found.items()}

    def remove(self, spec: Spec) -> None:
        for engine in hosts.engines_of(self.cluster, [spec.uid]):
            if engine.phase == Phase.LOST:
                hosts.drop_engine(engine.uid)
            elif not engine.stop:
                hosts.stop_engine(engine.uid)

    def logs(self, spec: Spec, *, replica: int = 0, previous: bool = False, lines: int = LOG_LINES) -> str:
        engine = hosts.engine_with_log(spec.uid, replica)
        if engine is None:
            return ""
        return "\n".join((engine.previous_log if previous else engine.log).splitlines()[-lines:])

    def evidence(self, spec: Spec, *, deep: bool = True) -> Evidence:
        engines = hosts.engines_with_logs(self.cluster, spec.uid)
        return Evidence(
            wanted=spec.replicas, looked_at=timezone.now(), replicas=tuple(_replica(engine) for engine in engines),
            conditions=tuple(_conditions(engines)), asked=asked_of(spec),
            troubles=self._no_room(spec) if len(engines) < spec.replicas else ())

    def _no_room(self, spec: Spec) -> tuple[Trouble, ...]:
        """Why a missing replica can't be placed now, node by node."""
        need, nodes = _need(spec), hosts.room(self.cluster, endpoint_uid=spec.uid)
        return () if rank(nodes, need) else (Trouble(Cause.NO_ROOM, refusal(nodes, need)),)

    def engine_pages(self, spec: Spec) -> list[str]:
        """Of the engines that the portal reaches itself; those behind an agent's own connection tell it nothing."""
        seen = map(_seen, hosts.engines_of(self.cluster, [spec.uid]))
        return fetch_pages((one.url, one.token) for one in seen if one.url.startswith("http://"))


def _need(spec: Spec) -> Need:
    needed = spec.wanted.resources
    return Need(needed.cpu_millis, needed.memory_bytes, needed.gpus, needed.gpu_memory_bytes, needed.devices,
                spec.wanted.release)


def _replica(engine: Engine) -> Replica:
    """What an agent reported of one engine; its last lines are old news only while it has none of its own."""
    return Replica(
        name=_("replica %(index)d") % {"index": engine.index}, index=engine.index, phase=engine.phase,
        ready=is_ready(engine), revision=engine.revision, node=engine.node.name,
        waiting=f"engine:{engine.cause}" if engine.cause else "", message=clean(engine.message, 1000),
        exit_code=engine.exit_code, restarts=engine.restarts, since=engine.phase_since,
        log=clean(engine.log, LOG_CHARS), previous_log=clean(engine.previous_log, LOG_CHARS),
        going=engine.stop or engine.retired_at is not None)


def _conditions(engines: Sequence[Engine]) -> Iterator[Condition]:
    for host in {engine.node.host.pk: engine.node.host for engine in engines}.values():
        for told in host.conditions:
            yield Condition(f"Host/{clean(host.node.name, 253)}", clean(told["type"], 64), "True",
                            message=clean(told["message"], 1000), since=host.seen_at)


def _cause(engine: Engine) -> Cause:
    return {Phase.CRASHLOOP: Cause.CRASH_LOOP, Phase.LOST: Cause.HOST_LOST}.get(Phase(engine.phase), Cause.NONE)


def _seen(engine: Engine) -> ReplicaSeen:
    host = engine.node.host
    ready = is_ready(engine) and engine.port is not None
    return ReplicaSeen(
        key=str(engine.uid), index=engine.index, revision=engine.revision, ready=ready, phase=engine.phase,
        where=engine.node.name, message=_("ends the calls that it has") if engine.retired_at else engine.message,
        url=host.address_of(engine.port) if ready and engine.port else "",
        token="" if host.engines_are_on_loopback or not ready else engine.secret("token"),
        broken=engine.phase == Phase.CRASHLOOP and not engine.stop, cause=_cause(engine), restarts=engine.restarts,
        since=engine.phase_since)


def _planned(spec: Spec, step: AnyStep, engines: dict[UUID, Engine]) -> Step:
    if isinstance(step, Start):
        return Step("start", f"replica {step.index}", f"revision {spec.wanted.number}")
    engine = engines[step.uid]
    verb = "put back" if isinstance(step, Retire) and step.back else "stop"
    return Step(verb, f"replica {engine.index} on {engine.node.name}", step.why)
