"""Parts whose rules are easier to see alone: the stream's tap, the answer's tail, limits, and the loader's queries."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from endpoints.gateway.limits import Usage
from endpoints.gateway.loader import Loader, mark_used
from endpoints.gateway.snapshot import Address
from endpoints.gateway.tap import StreamTap, usage_in_tail, usage_of
from endpoints.models import Backend, Endpoint
from endpoints.states import Wish
from portal.tenancy.models import ApiKey
from portal.tenancy.roles import Scope
from tests.cast import Cast, make_cluster

TEXT = (b'data: {"choices":[{"delta":{"content":"say \\"usage\\": [DONE]"}}],"usage":null}\n\n'
        b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}\n\n'
DONE = b"data: [DONE]\n\n"


@given(st.lists(st.integers(0, len(TEXT + USAGE + DONE)), max_size=12), st.booleans())
def test_however_a_stream_is_cut_up_the_caller_sees_the_same(cuts: list[int], hide: bool) -> None:
    whole = TEXT + USAGE + DONE
    places = [0, *sorted(cuts), len(whole)]
    tap = StreamTap(hide_usage=hide, ends_with_done=True)
    seen = b"".join(tap.feed(whole[start:end]) for start, end in pairwise(places))
    assert seen == (TEXT + DONE if hide else whole)
    assert tap.usage == Usage(3, 4)
    assert tap.is_complete


def test_a_stream_without_usage_counts_its_events() -> None:
    tap = StreamTap(hide_usage=True, ends_with_done=True)
    assert tap.feed(TEXT + b"data: {") == TEXT
    assert tap.usage == Usage(0, 2, is_partial=True)
    assert not tap.is_complete


def test_the_words_done_inside_a_text_do_not_end_a_stream() -> None:
    tap = StreamTap(hide_usage=True, ends_with_done=True)
    tap.feed(b'data: {"choices":[{"delta":{"content":"data: [DONE]"}}]}\n\n')
    assert not tap.is_complete


def test_an_endless_event_is_not_kept_in_memory() -> None:
    tap = StreamTap(hide_usage=True, ends_with_done=True)
    passed = sum(len(tap.feed(b"x" * 65536)) for _ in range(40))
    assert passed >= 23 * 65536


@pytest.mark.parametrize(("body", "usage"), [
    (b'{"usage":{"prompt_tokens":3,"completion_tokens":4}}', Usage(3, 4)),
    (b'{"usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7}}', Usage(3, 4)),
    (b'{"usage":{"prompt_tokens":3,"total_tokens":3,"completion_tokens":null}}', Usage(3, 0)),
    (b'{"usage":{"total_tokens":9}}', Usage(9, 0)),
    (b'{"usage":null}', Usage(is_partial=True)), (b"{}", Usage(is_partial=True)), (b"\xff", Usage(is_partial=True)),
])
def test_usage_of_whole_answers(body: bytes, usage: Usage) -> None:
    assert usage_of(body) == usage


def test_usage_in_the_tail_of_a_long_answer() -> None:
    tail = b'0.25]}],"usage":{"prompt_tokens":3,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens":2},"x":{}}'
    assert usage_in_tail(tail) == Usage(3, 2)
    assert usage_in_tail(b"0.25]}") == Usage(is_partial=True)


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
def test_the_loader_reads_everything_in_three_queries(
    cast: Cast, endpoint: Endpoint, django_assert_num_queries: Any,
) -> None:
    rows = [new_key(cast) for _ in range(20)]
    loader = Loader()
    with django_assert_num_queries(3):
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
