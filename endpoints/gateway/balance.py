"""Which of several replicas takes a call. Pure: what it knows of a replica is how busy it is and whether it is well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from hashlib import blake2b
from typing import Any, Protocol, TypeVar

# The bound of “Consistent Hashing with Bounded Loads” (Mirrokni, Thorup, Zadimoghaddam, 2016): no replica gets more than
# this many times the mean. The few let small numbers be: two calls of one session at once are no hot spot.
BOUND = 1.25
FEW = 2
SESSION, PREFIX = "session", "prefix"  # the kinds of affinity
# vLLM keeps the attention of whole blocks of 16 tokens for the next prompt that begins the same. 1,024 characters are
# some 256 tokens: less in common is not worth a detour.
PREFIX_CHARACTERS = 1024
OPENING_ROLES = frozenset({"system", "developer"})


class State(IntEnum):
    """The lower the better."""

    WELL = 0
    FAILING = 1
    REFUSING = 2  # nobody listens, or nobody who can be reached


class Candidate(Protocol):
    """A replica."""

    @property
    def seed(self) -> bytes:
        """What it is known by in hashes, the same in every process."""

    @property
    def outstanding(self) -> int:
        """Its calls that run now."""

    @property
    def is_suspect(self) -> bool:
        """Whether `state` has to be asked: of most it never has."""

    def state(self, now: float) -> State:
        """Whether it may get calls now."""

    def back_at(self) -> float:
        """When it may get calls again."""


C = TypeVar("C", bound=Candidate)


def choose(candidates: Sequence[C], now: float, turn: int, key: bytes = b"") -> C:
    """The replica for a call: by `key` where it has one, else the least busy one, where equals take turns.

    Those that are not well get nothing. If none is well the least bad are tried: a caller must not be refused because
    of what happened to others. `candidates` must not be empty.
    """
    for one in candidates:
        if one.is_suspect:
            candidates = _best(candidates, now)
            break
    return by_key(candidates, key) if key else least_busy(candidates, turn)


def _best(candidates: Sequence[C], now: float) -> Sequence[C]:
    states = [one.state(now) for one in candidates]
    best = min(states)
    if best is State.REFUSING:
        return [min(candidates, key=lambda one: one.back_at())]
    return [one for one, state in zip(candidates, states, strict=True) if state is best]


def least_busy(candidates: Sequence[C], turn: int) -> C:
    start = turn % len(candidates)
    best = candidates[start]
    fewest = best.outstanding
    if fewest:
        for one in (*candidates[start + 1:], *candidates[:start]):
            outstanding = one.outstanding
            if outstanding < fewest:
                best, fewest = one, outstanding
    return best


def by_key(candidates: Sequence[C], key: bytes) -> C:
    """Rendezvous hashing with bounded load: a key's own replica, or the next in its order that is not too busy.

    Each key orders the replicas for itself, so one more of n moves one in n keys, and one less only its own.
    """
    calls = sum([one.outstanding for one in candidates]) + 1
    most = math.ceil(BOUND * calls / len(candidates)) + FEW
    free = [one for one in candidates if one.outstanding < most]  # the least busy is always below the mean
    return max(free, key=lambda one: blake2b(key, digest_size=8, key=one.seed).digest())


def seed_of(url: str) -> bytes:
    return blake2b(url.encode(), digest_size=16).digest()


def prefix_of(body: dict[str, Any]) -> bytes:
    """What the prompt begins with, hashed: the system prompt and the first message after it, or b"" without a prompt.

    Later turns of a conversation don't change it, and long system prompts in common outweigh the questions after them.
    """
    text = _beginning(body)[:PREFIX_CHARACTERS]
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).digest() if text else b""


def _beginning(body: dict[str, Any]) -> str:
    parts = [_text(body.get("system")), _text(body.get("instructions"))]  # where Anthropic and /v1/responses have it
    messages = body.get("messages", body.get("input", body.get("prompt")))
    for message in messages if isinstance(messages, list) else [messages]:
        parts.append(_text(message.get("content") if isinstance(message, dict) else message))
        is_opening = isinstance(message, dict) and message.get("role") in OPENING_ROLES
        if not is_opening or sum(map(len, parts)) >= PREFIX_CHARACTERS:
            break
    return "\0".join(filter(None, parts))


def _text(content: Any) -> str:
    """As much as matters of a text, or of a list of a message's parts."""
    if isinstance(content, str):
        return content[:PREFIX_CHARACTERS]
    if not isinstance(content, list):
        return ""
    texts, length = [], 0
    for part in content:
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            texts.append(text[:PREFIX_CHARACTERS])
            length += len(texts[-1])
        if length >= PREFIX_CHARACTERS:
            break
    return "".join(texts)
