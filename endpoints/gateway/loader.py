"""The gateway's only reads and writes of the database. Each runs in a thread of its own, never in a request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from functools import reduce, wraps
from operator import or_
from typing import Any, ParamSpec, TypeVar

from django.db import Error, connection
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from endpoints.models import Backend, Endpoint, RouteTarget, TokenPrice
from endpoints.models import Route as RouteRow
from endpoints.states import Wish
from endpoints.token_prices import PRICE_FIELDS
from portal.tenancy.fields import SecretUnreadable
from portal.tenancy.models import ApiKey, Limit, Membership
from portal.tenancy.roles import ROLE_MAY, Role, Verb, scopes_may

from .build import (
    ENDPOINT_FIELDS,
    PRICED_FIELDS,
    ROUTE_FIELDS,
    RULE_FIELDS,
    TARGET_FIELDS,
    ends_of,
    prices_of,
    routes_of,
    rules_of,
)
from .snapshot import Address, Key, Snapshot

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
BackendRow = tuple[Any, ...]  # the values of BACKEND_FIELDS
KEY_FIELDS = ("id", "public_id", "digest", "workspace_id", "scopes", "model_names", "expires_at",
              "created_by__is_superuser", "role", "created_by_id")
BACKEND_FIELDS = ("uid", "url", "token", "ca", "client_certificate", "client_key", "host")
BATCH = 500


class DatabaseAway(Exception):
    """The database did not answer; what is known stays in use until it is too old."""


def in_own_connection(function: Callable[P, T]) -> Callable[P, T]:
    """Use this thread's connection if it still works. Raises DatabaseAway for every database error."""

    @wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> T:
        if not connection.in_atomic_block:  # in a transaction the connection is the caller's
            connection.close_if_unusable_or_obsolete()
        try:
            return function(*args, **kwargs)
        except Error as error:
            connection.close()
            raise DatabaseAway(type(error).__name__) from error

    return inner


class Loader:
    """Reads snapshots; remembers the rows of the last one, so that an unchanged database costs no rebuilding."""

    def __init__(self) -> None:
        self._rows: tuple[list[Any], ...] = ()
        self._snapshot = Snapshot()
        self._addresses: dict[BackendRow, Address] = {}

    @in_own_connection
    def load(self) -> Snapshot:
        """Everything that calls are decided by, one query a table; the same object again when nothing has changed."""
        running = Q(endpoint__wish=Wish.RUNNING)
        rows = (
            list(_key_rows(Q())),
            list(Endpoint.objects.filter(wish=Wish.RUNNING).order_by("id").values_list(*ENDPOINT_FIELDS)),
            list(Backend.objects.filter(running).order_by("id").values_list("endpoint_id", *BACKEND_FIELDS)),
            list(RouteRow.objects.order_by("id").values_list(*ROUTE_FIELDS)),
            list(RouteTarget.objects.filter(running).order_by("route_id", "position", "id").values_list(*TARGET_FIELDS)),
            list(Limit.objects.filter(_limits_calls()).order_by("id").values_list(*RULE_FIELDS)),
            prices := list(TokenPrice.objects.until(timezone.now()).values_list(*PRICE_FIELDS)),
            list(Endpoint.objects.filter(wish=Wish.RUNNING).order_by("id").values_list(*PRICED_FIELDS)) if prices else [],
        )
        if rows != self._rows:
            keys, endpoints, backends, routes, targets, limits, prices, priced = rows
            ends = ends_of(endpoints, self._behind(backends), prices_of(prices, priced))
            self._snapshot = Snapshot(_keys(keys), routes_of(ends, routes, targets), rules_of(limits))
            self._rows = rows
        return self._snapshot

    @in_own_connection
    def find_keys(self, public_ids: Collection[str]) -> dict[str, Key]:
        """Those of these keys that are good now, for keys younger than the snapshot."""
        return _keys(_key_rows(Q(public_id__in=public_ids)))

    def _behind(self, backends: Iterable[tuple[Any, ...]]) -> dict[int, list[Address]]:
        """The addresses of each endpoint's ready replicas."""
        behind: dict[int, list[Address]] = {}
        seen: dict[BackendRow, Address] = {}
        for endpoint_id, *row in backends:
            address = self._address(seen, tuple(row))
            if address is not None:
                behind.setdefault(endpoint_id, []).append(address)
        self._addresses = seen
        return behind

    def _address(self, seen: dict[BackendRow, Address], row: BackendRow) -> Address | None:
        """Decrypt the secrets once for as long as the row stays the same."""
        known = self._addresses.get(row)
        if known is None:
            backend = Backend(**dict(zip(BACKEND_FIELDS, row, strict=True)))
            try:
                known = Address(backend.url, backend.secret("token"), backend.ca, backend.client_certificate,
                                backend.secret("client_key"), backend.host)
            except SecretUnreadable:
                log.error("backend left out: its secrets can't be decrypted with the keys of this process",
                          extra={"backend": str(backend.uid)})
                return None
            if not known.is_usable:
                log.error("backend left out: its address can't be used", extra={"backend": str(backend.uid)})
                return None
        seen[row] = known
        return known


@in_own_connection
def mark_used(key_ids: Collection[int]) -> None:
    """Note now as the time of last use of these keys, in one statement for each batch."""
    ids, now = sorted(key_ids), timezone.now()
    for start in range(0, len(ids), BATCH):
        ApiKey.objects.filter(pk__in=ids[start:start + BATCH]).update(last_used_at=now)


def _limits_calls() -> Q:
    """Limits that say something about calls; the others are about places."""
    return reduce(or_, [Q(**{f"{name}__isnull": False}) for name in Limit.CALLS])


def _key_rows(which: Q) -> Iterable[tuple[Any, ...]]:
    role = Membership.objects.filter(workspace=OuterRef("workspace"), user=OuterRef("created_by")).values("role")[:1]
    return (ApiKey.objects.usable(timezone.now()).filter(which).order_by("id")
            .annotate(role=Subquery(role)).values_list(*KEY_FIELDS))


def _keys(rows: Iterable[tuple[Any, ...]]) -> dict[str, Key]:
    found = {}
    for pk, public_id, digest, workspace_id, scopes, names, expires_at, is_superuser, role, member_id in rows:
        held = ROLE_MAY.get(Role.OWNER if is_superuser else role, frozenset())
        found[public_id] = Key(pk, public_id, digest, workspace_id, member_id, Verb.USE in held & scopes_may(scopes),
                               frozenset(names), expires_at.timestamp() if expires_at else None)
    return found
