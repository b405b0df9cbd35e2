"""The loader: what it reads, in how many queries, and what it leaves out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from endpoints.gateway.loader import Loader, mark_used
from endpoints.gateway.snapshot import Address
from endpoints.models import Backend, Endpoint
from endpoints.states import Wish
from portal.tenancy.models import ApiKey
from portal.tenancy.roles import Scope
from tests.cast import Cast, make_cluster


@pytest.fixture
def endpoint(cast: Cast) -> Endpoint:
    row = Endpoint.objects.create(workspace=cast.alpha, cluster=make_cluster(), name="m", public_name="m", public_key="m")
    backend = Backend(endpoint=row, key="0", url="http://127.0.0.1:9", revision=1)
    backend.put_secret("token", "t0ken")
    backend.save()
    return row


def new_key(cast: Cast, **values: Any) -> ApiKey:
    defaults = {"created_by": cast.alice, "scopes": [Scope.INFERENCE.value]}
    row = ApiKey(workspace=cast.alpha, name="k", **{**defaults, **values})
    row.draw_secret()
    row.save()
    return row


@pytest.mark.both_databases
def test_the_loader_reads_everything_in_one_query_a_table(
    cast: Cast, endpoint: Endpoint, django_assert_num_queries: Any,
) -> None:
    rows = [new_key(cast) for _ in range(20)]
    loader = Loader()
    with django_assert_num_queries(7):
        snapshot = loader.load()
    assert set(snapshot.keys) == {row.public_id for row in rows}
    assert snapshot.routes[cast.alpha.pk]["m"].targets[0].addresses == (Address("http://127.0.0.1:9", "t0ken"),)
    assert loader.load() is snapshot
    Endpoint.objects.update(wish=Wish.STOPPED)
    assert loader.load().routes == {}


@pytest.mark.both_databases
def test_the_loader_leaves_out_what_must_not_open_a_door(cast: Cast, endpoint: Endpoint) -> None:
    now = timezone.now()
    new_key(cast, revoked_at=now)
    new_key(cast, expires_at=now - timedelta(seconds=1))
    new_key(cast, created_by=cast.charlie)
    good, viewers = new_key(cast, expires_at=now + timedelta(hours=1)), new_key(cast, created_by=cast.vera)
    loader = Loader()
    assert {name: key.may_call for name, key in loader.load().keys.items()} == {
        good.public_id: True, viewers.public_id: False}
    assert set(loader.find_keys([good.public_id, "nobody"])) == {good.public_id}


def test_a_backend_whose_token_cannot_be_read_is_left_out(cast: Cast, endpoint: Endpoint) -> None:
    Backend.objects.update(url="http://127.0.0.1:10")  # the token is bound to the old address
    assert Loader().load().routes[cast.alpha.pk]["m"].targets[0].addresses == ()


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://x:99999", "http://a b", "http://x\r\ny: z", "x"])
def test_an_address_that_cannot_be_used_is_left_out(url: str) -> None:
    assert not Address(url, "").is_usable
    assert not Address("http://x", "a\r\nb: c").is_usable
    assert Address("https://[::1]:8443/base", "").is_usable


@pytest.mark.both_databases
def test_last_use_is_one_statement(cast: Cast, django_assert_num_queries: Any) -> None:
    rows = [new_key(cast) for _ in range(5)]
    with django_assert_num_queries(1):
        mark_used([row.pk for row in rows[:3]])
    assert ApiKey.objects.filter(last_used_at=None).count() == 2
