"""What is to be played for a pod: its annotations `test.kubelet/*`, or a rule that a test set."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..base import annotations_of, name_of, namespace_of
from ..placement import refusal_message

PREFIX = "test.kubelet/"
DURATION = re.compile(r"([0-9.]+)(ms|s|m|h)?")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
IMAGE_STATES = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull")
WAITING_STATES = (*IMAGE_STATES, "CreateContainerConfigError", "CreateContainerError", "RunContainerError")


def seconds(text: str) -> float:
    """A duration as Go writes it, of one unit: "4s", "500ms"."""
    match = DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"not a duration: {text!r}")
    return float(match[1]) * SECONDS[match[2]]


@dataclass(frozen=True)
class Play:
    """What the kubelet plays for one pod: a state ("" is a healthy life), and how long things take, in seconds."""

    state: str = ""
    argument: str = ""
    ready_after: float = 0.5
    stop_after: float = 0.1
    restarts: int = 1
    by_rule: bool = False


@dataclass(frozen=True)
class Rule:
    """Pods of a namespace, name and image (patterns with *) fail as `as_` says.

    `as_` is a waiting reason (ImagePullBackOff, ErrImagePull, CreateContainerConfigError, ...), "crash:CODE" (137 is
    OOMKilled; "oom" is the same), "notready" (the probe fails), "pending" (ContainerCreating), "slow:30s" (ready only
    then), "unschedulable", "pvc" (its claims stay unbound), "succeed", "fail:CODE" or "evicted".
    """

    namespace: str = "*"
    name: str = "*"
    image: str = "*"
    as_: str = "crash:1"
    log: str = ""
    previous_log: str = ""

    def takes(self, pod: Mapping[str, Any]) -> bool:
        images = [container["image"] for container in pod["spec"]["containers"]]
        named = fnmatchcase(namespace_of(pod), self.namespace) and fnmatchcase(name_of(pod), self.name)
        return named and any(fnmatchcase(image, self.image) for image in images)

    def play(self) -> Play:
        state, _, argument = self.as_.partition(":")
        if state == "slow":
            return Play(ready_after=seconds(argument), by_rule=True)
        if state == "oom":
            state, argument = "crash", "137"
        if state in WAITING_STATES:
            state, argument = "waiting", state
        return Play(state, argument, by_rule=True)


class Rules:
    """The rules in force; a later one wins. `listeners` are called with a rule that came or went."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self.listeners: list[Callable[[Rule], None]] = []

    def add(self, rule: Rule) -> None:
        self._rules.append(rule)
        self._tell(rule)

    def remove(self, rule: Rule) -> None:
        if rule in self._rules:
            self._rules.remove(rule)
            self._tell(rule)

    def _tell(self, rule: Rule) -> None:
        for listener in self.listeners:
            listener(rule)

    def of(self, pod: Mapping[str, Any]) -> Rule | None:
        return next((rule for rule in reversed(self._rules) if rule.takes(pod)), None)

    def unschedulable(self, pod: Mapping[str, Any], nodes: int) -> str:
        """The refusal that a rule wants the scheduler to give, or ""."""
        rule = self.of(pod)
        if rule is None or rule.as_ not in ("unschedulable", "pvc"):
            return ""
        if rule.as_ == "pvc":
            return f"0/{nodes} nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
        return refusal_message({"Insufficient nvidia.com/gpu": nodes}, nodes, nodes)

    def play(self, pod: Mapping[str, Any]) -> Play:
        """What to play: a rule before the annotations."""
        if rule := self.of(pod):
            return rule.play()
        words = annotations_of(pod)
        state, _, argument = words.get(PREFIX + "state", "").partition(":")
        return Play(
            state, argument,
            ready_after=seconds(words.get(PREFIX + "ready-after", "0.5s")),
            stop_after=seconds(words.get(PREFIX + "terminate-after", "0.1s")),
            restarts=int(words.get(PREFIX + "restarts", "1")),
        )  # fmt: skip
