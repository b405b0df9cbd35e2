"""Container logs: what `pods/NAME/log` answers, cut and followed as a kubelet does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.simulators.kubernetes.errors import ApiError, bad_request, cause, invalid, not_found

from ..base import Object, annotations_of, finished, name_of, namespace_of, uid_of
from .life import first_status
from .rules import PREFIX, Rules

Line = tuple[datetime, str]
COUNTS = {"tailLines": 0, "sinceSeconds": 1, "limitBytes": 1}
"""The smallest value that each may have."""
PULL_TROUBLE = {"ImagePullBackOff": "trying and failing to pull image", "ErrImagePull": "image can't be pulled"}


@dataclass
class Options:
    container: str = ""
    previous: bool = False
    follow: bool = False
    timestamps: bool = False
    tail: int | None = None
    limit: int | None = None
    since: datetime | None = None


@dataclass
class Written:
    """The lines that a test made a container write, and who waits for more."""

    lines: list[Line] = field(default_factory=list)
    waiting: list[asyncio.Event] = field(default_factory=list)


def truth(text: str) -> bool:
    return text.lower() in ("1", "t", "true")


class Logs:
    def __init__(self, cluster: Any, rules: Rules) -> None:
        self.cluster, self.rules = cluster, rules
        self._written: dict[str, Written] = {}

    def write(self, namespace: str, name: str, text: str) -> None:
        """The pod's containers write these lines now; those who follow get them.

        :raises ApiError: there is no such pod.
        """
        pod = self._pod(namespace, name)
        kept = self._written.setdefault(uid_of(pod), Written())
        now = datetime.now(UTC)
        kept.lines += [(now, line) for line in text.splitlines()]
        self._wake(kept)

    def ended(self, uid: str) -> None:
        """A pod is gone: followers see the end."""
        if kept := self._written.pop(uid, None):
            self._wake(kept)

    def _wake(self, kept: Written) -> None:
        for event in kept.waiting:
            event.set()

    def read(self, namespace: str, name: str, query: Callable[[str], str]) -> bytes | AsyncIterator[bytes] | None:
        """The log as bytes, a stream when it is followed, None for a pod on no node. `query` gives a parameter or "".

        :raises ApiError: as the API server refuses: bad options, no such container, nothing to read yet.
        """
        pod = self._pod(namespace, name)
        options = parse(name, query)
        container = choose(pod, options.container)
        node = pod["spec"].get("nodeName")
        if not node:
            return None
        self._reachable(pod, node, container)
        lines = self._lines(pod, container, options)
        if options.follow and not options.previous and not finished(pod):
            return self._follow(pod, lines, options)
        return render(lines, options)

    def _pod(self, namespace: str, name: str) -> Object:
        pod = self.cluster.get("Pod", namespace, name)
        if pod is None:
            raise not_found("", "pods", name)
        return pod

    def _reachable(self, pod: Object, node: str, container: str) -> None:
        found = self.cluster.get("Node", "", node)
        if found is not None and annotations_of(found).get(PREFIX + "down") != "true":
            return
        host = (pod.get("status") or {}).get("hostIP", "10.0.0.1")
        url = f"https://{host}:10250/containerLogs/{namespace_of(pod)}/{name_of(pod)}/{container}"
        raise ApiError(500, "", f'Get "{url}": dial tcp {host}:10250: connect: no route to host')

    def _lines(self, pod: Object, container: str, options: Options) -> list[Line]:
        state = first_status(pod)
        terminated = (state.get("lastState") or {}).get("terminated")
        if options.previous and not terminated:
            raise bad_request(f'previous terminated container "{container}" in pod "{name_of(pod)}" not found')
        waiting = (state.get("state") or {}).get("waiting") or {}
        if not options.previous and (not state or (waiting and not terminated)):
            why = PULL_TROUBLE.get(waiting.get("reason", ""), waiting.get("reason") or "ContainerCreating")
            raise bad_request(f'container "{container}" in pod "{name_of(pod)}" is waiting to start: {why}')
        lines = [(written_at(state), line) for line in self._text(pod, options.previous).splitlines()]
        if not options.previous and (kept := self._written.get(uid_of(pod))):
            lines += kept.lines
        return lines

    def _text(self, pod: Object, previous: bool) -> str:
        rule = self.rules.of(pod)
        if rule and previous and rule.previous_log:
            return rule.previous_log
        if rule and rule.log:
            return rule.log
        return annotations_of(pod).get(PREFIX + "log", "")

    async def _follow(self, pod: Object, lines: list[Line], options: Options) -> AsyncIterator[bytes]:
        """The lines so far and then each new one, until the pod is gone or has ended."""
        kept = self._written.setdefault(uid_of(pod), Written())
        more = asyncio.Event()
        kept.waiting.append(more)
        seen = len(kept.lines)
        try:
            yield render(lines, options)
            while self._written.get(uid_of(pod)) is kept:
                await more.wait()
                more.clear()
                new, seen = kept.lines[seen:], len(kept.lines)
                if new:
                    yield render(new, Options(timestamps=options.timestamps))
        finally:
            kept.waiting.remove(more)


def parse(name: str, query: Callable[[str], str]) -> Options:
    numbers: dict[str, int] = {}
    for key, least in COUNTS.items():
        if text := query(key):
            try:
                numbers[key] = int(text)
            except ValueError:
                raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
            if numbers[key] < least:
                words = "greater than or equal to 0" if least == 0 else "greater than 0"
                told = cause("FieldValueInvalid", f"Invalid value: {numbers[key]}: must be {words}", key)
                raise invalid("", "PodLogOptions", name, [told])
    if query("sinceSeconds") and query("sinceTime"):
        why = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
        raise invalid("", "PodLogOptions", name, [cause("FieldValueForbidden", why, "[]")])
    return Options(
        container=query("container"), previous=truth(query("previous")), follow=truth(query("follow")),
        timestamps=truth(query("timestamps")), tail=numbers.get("tailLines"), limit=numbers.get("limitBytes"),
        since=since(numbers.get("sinceSeconds"), query("sinceTime")),
    )  # fmt: skip


def since(seconds: int | None, time: str) -> datetime | None:
    if seconds is not None:
        return datetime.now(UTC) - timedelta(seconds=seconds)
    if not time:
        return None
    try:
        return datetime.fromisoformat(time)
    except ValueError:
        raise bad_request(f'parsing time "{time}" as "2006-01-02T15:04:05Z07:00": cannot parse') from None


def choose(pod: Mapping[str, Any], asked: str) -> str:
    """The container that is meant; with one container it need not be named."""
    names = [each["name"] for each in (*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ()))]
    if asked and asked not in names:
        raise bad_request(f"container {asked} is not valid for pod {name_of(pod)}")
    if not asked and len(names) > 1:
        raise bad_request(
            f"a container name must be specified for pod {name_of(pod)}, choose one of: [{' '.join(names)}]"
        )
    return asked or names[0]


def written_at(state: Object) -> datetime:
    """When a container that wrote its log at its start did so."""
    now = state.get("state") or {}
    started = (
        now.get("running") or now.get("terminated") or (state.get("lastState") or {}).get("terminated") or {}
    ).get("startedAt")
    return datetime.fromisoformat(started) if started else datetime.now(UTC)


def render(lines: list[Line], options: Options) -> bytes:
    if options.since is not None:
        lines = [line for line in lines if line[0] >= options.since]
    if options.tail is not None:
        lines = lines[len(lines) - options.tail :] if options.tail < len(lines) else lines
    stamps = options.timestamps
    text = "".join(f"{time.isoformat().replace('+00:00', 'Z') + ' ' if stamps else ''}{line}\n" for time, line in lines)
    return text.encode()[: options.limit]
