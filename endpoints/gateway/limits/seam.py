"""What the gateway knows of limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..snapshot import Key, Price, Route, Snapshot


@dataclass(slots=True)
class Usage:
    """Tokens of one call. `is_partial` where the engine never said: then counted from the chunks that came by."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    is_partial: bool = False


@dataclass(slots=True)  # not frozen: that would cost a microsecond each
class Ask:
    """What is known before a call: who wants which model, how many bytes of prompt, at most how many new tokens."""

    key: Key
    route: Route
    body_bytes: int
    max_tokens: int | None
    price: Price | None = None


class Reservation(Protocol):
    def settle(self, usage: Usage) -> None:
        """Replace the reserved amount by the real one. Called exactly once, also after a failure."""


class Limits(Protocol):
    def try_reserve(self, ask: Ask) -> Reservation | None:
        """Take the call's place in every limit on its chain; None where only the shared store can tell."""

    async def reserve(self, ask: Ask) -> Reservation:
        """As `try_reserve`, asking the store where needed. Raises GatewayError (429) where a limit is reached."""

    def follow(self, snapshot: Snapshot) -> None:
        """New rules count from now on."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class NoPlace:
    def settle(self, usage: Usage) -> None:
        """Nothing was reserved."""


NO_PLACE = NoPlace()


class Unlimited:
    """Admits everything."""

    def try_reserve(self, ask: Ask) -> Reservation | None:
        return NO_PLACE

    async def reserve(self, ask: Ask) -> Reservation:
        return NO_PLACE

    def follow(self, snapshot: Snapshot) -> None:
        """There are no rules."""

    async def start(self) -> None:
        """There is no store."""

    async def stop(self) -> None:
        """There is no store."""
