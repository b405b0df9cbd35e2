"""The seam for limits and budgets: reserve before the call, settle after it with what was really used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from .snapshot import Key, Route


@dataclass(slots=True)
class Usage:
    """Tokens of one call. `is_partial` where the engine never said: then counted from the chunks that came by."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """What is known before a call: who wants which endpoint, how many bytes of prompt, at most how many new tokens."""

    key: Key
    route: Route
    body_bytes: int
    max_tokens: int | None


class Reservation(Protocol):
    def settle(self, usage: Usage) -> None:
        """Replace the reserved amount by the real one. Called exactly once, also after a failure."""


class Limits(Protocol):
    def reserve(self, ask: Ask) -> Reservation:
        """Take the call's place in every limit on its chain. Raises GatewayError (429) where one is reached."""


@dataclass(slots=True)
class _Place:
    owner: Unlimited
    endpoint_id: int

    def settle(self, usage: Usage) -> None:
        self.owner.leave(self.endpoint_id, usage)


@dataclass
class Unlimited:
    """Admits everything; knows how many calls are in flight at each endpoint and how many tokens went through."""

    in_flight: dict[int, int] = field(default_factory=dict)
    tokens: int = 0

    def reserve(self, ask: Ask) -> Reservation:
        endpoint_id = ask.route.endpoint_id
        self.in_flight[endpoint_id] = self.in_flight.get(endpoint_id, 0) + 1
        return _Place(self, endpoint_id)

    def leave(self, endpoint_id: int, usage: Usage) -> None:
        left = self.in_flight[endpoint_id] - 1
        if left:
            self.in_flight[endpoint_id] = left
        else:
            del self.in_flight[endpoint_id]
        self.tokens += usage.prompt_tokens + usage.completion_tokens
