"""What the gateway knows of the database: immutable, swapped as a whole, never older than a few seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .aws.address import EKS, SAGEMAKER, is_whole
from .choice import Choice

SCHEMES = ("http", "https", "tunnel", SAGEMAKER, EKS)
PRINTABLE = re.compile(r"[\x21-\x7e]*\Z")


@dataclass(frozen=True, slots=True)
class Key:
    id: int
    public_id: str
    digest: str
    workspace_id: int
    member_id: int
    may_call: bool
    model_names: frozenset[str]
    expires_at: float | None

    def allows(self, model: str) -> bool:
        return not self.model_names or model in self.model_names


@dataclass(frozen=True, slots=True)
class Address:
    """Where a ready replica listens, the token that it wants, and how to know it where a private CA vouches for it.

    `ca`, `client_certificate` and `client_key` are PEM. `host` is sent instead of the address's own name; in a
    tunnel into a cluster it names the Service behind the agent.
    """

    url: str
    token: str = field(repr=False)
    ca: str = field(default="", repr=False)
    client_certificate: str = field(default="", repr=False)
    client_key: str = field(default="", repr=False)
    host: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether all can be written into a request as they are."""
        try:
            parts = urlsplit(self.url)
            known = parts.scheme in SCHEMES and parts.hostname and parts.port != 0 and is_whole(self.url, parts.scheme)
        except ValueError:
            return False
        return bool(known) and all(PRINTABLE.match(text) for text in (self.url, self.token, self.host))

    @property
    def needs_aws(self) -> bool:
        """Whether credentials of an AWS account belong to each call."""
        return self.url.startswith((f"{SAGEMAKER}:", f"{EKS}:"))


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-units of the installation's currency a token, which is the same as whole units a million tokens."""

    prompt: float
    completion: float
    cached: float


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint that should run: what its engine calls itself, and who answers now."""

    endpoint_id: int
    public_name: str
    status: str
    reason: str
    addresses: tuple[Address, ...]
    affinity: str = ""  # how calls choose among the addresses: "", "session" or "prefix"
    price: Price | None = None
    # How calls to it are named in the spool, by key, route and door; filled as they come.
    spool_names: dict[tuple[int, int, int], bytes] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Way:
    """A target and its share of the calls, relative to the other ways; one on trial (a canary) has it in % of all calls."""

    target: Target
    weight: float = 100.0
    is_trial: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """Where the calls for one model name of a workspace go. `id` is 0 for an endpoint's own name."""

    id: int
    workspace_id: int
    public_name: str
    created: int
    ways: tuple[Way, ...]
    fallbacks: tuple[Target, ...] = ()
    is_sticky: bool = False
    _choice: Choice[Target] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ready = [way for way in self.ways if way.target.addresses and way.weight > 0]
        object.__setattr__(self, "_choice", Choice(ready, [one for one in self.fallbacks if one.addresses]))

    @property
    def targets(self) -> tuple[Target, ...]:
        return (*[way.target for way in self.ways], *self.fallbacks)

    @property
    def is_ready(self) -> bool:
        return bool(self.pick())

    def pick(self, session: bytes = b"") -> tuple[Target, ...]:
        """The ready targets in the order in which to try them; empty when none is ready.

        The first is drawn by weight, or for a sticky route by the session; then come the other ways, then the fallbacks.
        """
        only = self._choice.only
        if only is not None:
            return only
        return self._choice.of(session) if session and self.is_sticky else self._choice.draw()


@dataclass(frozen=True, slots=True)
class Rule:
    """Limits of one subject on calls. A member, key or model of 0 or "" is any; a quantity of None is not limited."""

    id: int
    workspace_id: int
    member_id: int = 0
    key_id: int = 0
    model_name: str = ""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    tokens_per_month: int | None = None
    money_per_month: int | None = None  # micro-units


@dataclass(frozen=True, slots=True)
class Snapshot:
    keys: Mapping[str, Key] = field(default_factory=dict)
    routes: Mapping[int, Mapping[str, Route]] = field(default_factory=dict)
    rules: Mapping[int, tuple[Rule, ...]] = field(default_factory=dict)

    def route(self, key: Key, model: str) -> Route | None:
        """The route of this exact name that `key` may call; None for all others, whatever the reason."""
        return self.routes.get(key.workspace_id, {}).get(model) if key.allows(model) else None

    def routes_of(self, key: Key) -> list[Route]:
        return [route for name, route in self.routes.get(key.workspace_id, {}).items() if key.allows(name)]

    def addresses(self) -> set[Address]:
        return {address for names in self.routes.values() for route in names.values() for target in route.targets
                for address in target.addresses}
