"""Why an endpoint is not as wished, as SageMaker and its log tell; and the log itself, from CloudWatch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from clusters.drivers.aws_errors import AwsError
from endpoints.explaining import Condition, Evidence, Happening, Replica
from endpoints.targets.asked import asked_of
from endpoints.targets.base import LOG_CHARS, LOG_LINES, Spec
from portal.tenancy.text import clean

from .calls import Calls
from .causes import cause_of
from .errors import unless_gone
from .live import Live
from .look import remember
from .memory import Memory, Seen
from .place import PlaceView
from .replicas import observation_of

MOST_STREAMS = 50
SAID = 1000


def evidence(calls: Calls, memory: Memory, place: PlaceView, spec: Spec, *, deep: bool) -> Evidence:
    """Raises AwsError where not even the endpoint can be described."""
    live = calls.endpoint(spec.external_name)
    seen = remember(calls, memory, live) if live is not None else None
    if seen is None:
        return Evidence(spec.replicas, timezone.now(), asked=asked_of(spec))
    replicas, unread = [_replica(each) for each in observation_of(seen, place).replicas], []
    if deep and any(not each.ready for each in replicas):
        try:
            replicas = _with_log(replicas, read_log(calls, spec))
        except AwsError as error:
            unread.append(f"log: {clean(error.message, 200)}")
    return Evidence(
        wanted=spec.replicas, looked_at=timezone.now(), replicas=tuple(replicas), conditions=tuple(_conditions(seen)),
        events=tuple(_happenings(seen.live)), asked=asked_of(spec), unread=tuple(unread))


def _replica(seen: Any) -> Replica:
    return Replica(name=seen.key, index=seen.index, phase=seen.phase, ready=seen.ready, revision=seen.revision, node=seen.where,
                   message=clean(seen.message, SAID), since=seen.since)


def _with_log(replicas: list[Replica], log: str) -> list[Replica]:
    """SageMaker's log streams are those of instances, which it does not name elsewhere: the newest goes to the worst off."""
    worst = next(each for each in replicas if not each.ready)
    return [replace(each, log=clean(log, LOG_CHARS)) if each is worst else each for each in replicas]


def _conditions(seen: Seen) -> Iterator[Condition]:
    live, component = seen.live, seen.component
    yield Condition(f"Endpoint/{live.name}", "EndpointStatus", live.status, cause_of(live.reason), clean(live.reason, SAID),
                    live.modified)
    if component is not None:
        yield Condition(f"InferenceComponent/{component.name}", "InferenceComponentStatus", component.status,
                        cause_of(component.reason), clean(component.reason, SAID), component.modified)


def _happenings(live: Live) -> Iterator[Happening]:
    """What each variant is at now."""
    for variant in (*live.variants, *live.coming_variants):
        if variant.stage:
            yield Happening(f"Variant/{variant.name}", variant.stage, variant.message, warning=False, last=live.modified)


def read_log(calls: Calls, spec: Spec, *, replica: int = 0, previous: bool = False, lines: int = LOG_LINES) -> str:
    """The last lines of the stream of one instance, the one that wrote last being the first; "" where there is none.

    `previous` are the streams after those of the instances that there should be. Raises AwsError.
    """
    kinds = ("InferenceComponents", "Endpoints") if "InferenceComponent" in spec.wanted.options else ("Endpoints",)
    group, streams = "", []
    for kind in kinds:
        group = f"/aws/sagemaker/{kind}/{spec.external_name}"
        streams = _streams(calls, group)
        if streams:
            break
    at = replica + (max(1, spec.replicas) if previous else 0)
    if at >= len(streams):
        return ""
    found = unless_gone(lambda: calls.aws.call("logs", "get_log_events", logGroupName=group, logStreamName=streams[at],
                                               limit=min(lines, 10_000), startFromHead=False))
    return "\n".join(_line(each) for each in (found or {}).get("events", ()))


def _streams(calls: Calls, group: str) -> list[str]:
    """The one that wrote last comes first; those of captured data are no logs."""
    said = unless_gone(lambda: calls.aws.call("logs", "describe_log_streams", logGroupName=group, orderBy="LastEventTime",
                                              descending=True, limit=MOST_STREAMS))
    names = [str(each["logStreamName"]) for each in (said or {}).get("logStreams", ())]
    return [name for name in names if not name.endswith("/data-log")]


def _line(event: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(event.get("timestamp", 0) / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%SZ} {clean(event.get('message', '').rstrip(), 4000)}"
