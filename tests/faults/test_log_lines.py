"""Nobody writes a line of their own into a log, or makes an entry of the audit look like another's (T44)."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from endpoints.gateway.call import REQUEST_ID as OF_THE_GATEWAY
from portal.logs import REQUEST_ID, logging_config
from portal.tenancy.models import AuditEntry
from tests.cast import Cast
from tests.portal.apiclient import Api
from tests.portal.apiworld import make_world as make_api_world
from tests.portal.conftest import STORAGES, signed_in
from tests.portal.test_matrix import MATRIX, Entry
from tests.portal.world import World, make_world
from tests.web.test_matrix import IN_WORKSPACE, ROUTES, ours

pytestmark = pytest.mark.django_db
FORGED = '\n{"event": "signed in", "level": "info", "user": "operator"}\r\n\x1b[2J\x1b[31mred\x07\u2028\x85\x9b2J'
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@contextmanager
def written(*, as_json: bool = True) -> Iterator[io.StringIO]:
    """What reaches standard error, as the portal's own settings would write it."""
    formatter = logging_config("INFO", json=as_json)["formatters"]["out"]
    made = formatter["()"](foreign_pre_chain=formatter["foreign_pre_chain"], processors=formatter["processors"])
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(made)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield out
    finally:
        root.removeHandler(handler)


@pytest.mark.parametrize("where", ["message", "argument", "value", "name", "nested", "exception"])
def test_an_event_is_one_line_of_json(where: str) -> None:
    with written() as out:
        _log(where)
    (line,) = out.getvalue().splitlines()
    assert not CONTROL.search(line)
    assert json.loads(line)["level"] in ("warning", "error")


@pytest.mark.parametrize("where", ["message", "argument", "value", "name", "nested", "exception"])
def test_in_a_log_for_people_an_event_begins_one_line(where: str) -> None:
    with written(as_json=False) as out:
        _log(where)
    first, *more = out.getvalue().removesuffix("\n").split("\n")
    assert datetime.fromisoformat(first.split()[0])
    assert all(line.startswith("    ") for line in more), "a traceback, indented"
    assert bool(more) == (where == "exception")
    assert not CONTROL.search("".join([first, *more]))


def _log(where: str) -> None:
    log = logging.getLogger("tests.lines")
    if where == "exception":
        try:
            raise ValueError(FORGED)
        except ValueError:
            log.exception("failed")
    elif where == "argument":
        log.warning("of %s", FORGED)
    else:
        extra: dict[str, Any] = {"value": {"why": FORGED}, "name": {FORGED: 1}, "nested": {"why": [{"a": FORGED}]}}
        log.warning(FORGED if where == "message" else "said", extra=extra.get(where))


@pytest.fixture
def world(cast: Cast, settings: Any) -> World:
    settings.STORAGES = STORAGES
    settings.PORTAL_AWS_ENDPOINT = "http://127.0.0.1:1"
    return make_world(cast)


@pytest.mark.parametrize("header", [
    "User-Agent", "Referer", "X-Request-Id", "X-Forwarded-For", "Authorization", "Accept-Language", "Idempotency-Key",
    "If-Match", "Host", "Content-Type", "HX-Current-URL"])
def test_a_header_writes_no_line(world: World, header: str) -> None:
    with written() as out:
        for path in ("/w/alpha/nowhere/", "/api/v1/endpoints/nowhere", "/account/login/", f"/w/{'%0a%1b'}x/"):
            client = Client(raise_request_exception=False)
            client.force_login(world.cast.alice)
            answer = client.generic("GET", path, headers={header: FORGED})
            assert FORGED not in str(answer.headers)
            client.generic("POST", path, b"{}", content_type="application/json", headers={header: FORGED})
    one_line_each(out.getvalue())


def one_line_each(text: str) -> None:
    for line in text.splitlines():
        assert not CONTROL.search(line)
        assert json.loads(line)["event"] != "signed in"


@pytest.mark.parametrize(("given", "is_taken"), [
    ("a1b2c3d4", True), ("short", False), ("x" * 41, False), ("abcdefgh\n", False), ("abcdefgh\x1b[2J", False),
    ("abcd efgh", False), ("abcdefgh\u2028", False),
])
def test_an_id_of_a_request_is_a_word(given: str, is_taken: bool) -> None:
    assert bool(REQUEST_ID.match(given)) == is_taken
    assert bool(OF_THE_GATEWAY.match(given.encode())) == is_taken


POSTED = [name for name in IN_WORKSPACE if ROUTES[name].body]


@pytest.mark.parametrize("name", POSTED)
def test_no_form_puts_a_second_line_into_the_audit_or_the_log(world: World, name: str) -> None:
    """Each field of each form in turn, with what is right in the others."""
    alice = signed_in(world.cast.alice)
    path = ours(name, world)
    body = dict(ROUTES[name].body(world))  # type: ignore[misc]
    with written() as out:
        for field in [*body, "name", "notes", "note", "public_name", "reason"]:
            before = AuditEntry.objects.count()
            _ask_and_look(alice, path, {**body, field: f"{body.get(field, 'word')}{FORGED}"}, before)
    one_line_each(out.getvalue())


def _ask_and_look(alice: Client, path: str, body: dict[str, Any], before: int) -> None:
    answer = alice.post(path, body)
    assert answer.status_code < 500, body
    for entry in AuditEntry.objects.order_by("pk")[before:]:
        shown = f"{entry.actor_label}{entry.verb}{entry.kind}{entry.object_label}{entry.object_uid}{entry.request_id}"
        assert not CONTROL.search(shown), shown
        assert (entry.actor_id, entry.actor_label) == (answer.wsgi_request.user.pk, "alice")


BODIES = [(verb, path) for (verb, path), entry in MATRIX.items() if isinstance(entry.body, dict) and entry.body]


@pytest.mark.parametrize(("verb", "path"), BODIES, ids=[" ".join(each) for each in BODIES])
def test_no_body_puts_a_second_line_into_the_audit_or_the_log(cast: Cast, settings: Any, verb: str, path: str) -> None:
    settings.PORTAL_AWS_ENDPOINT = "http://127.0.0.1:1"
    world = make_api_world(cast)
    entry: Entry = MATRIX[verb, path]
    operator = Api(cast.operator)
    where = f"/api/v1{path.format_map(world.names())}"
    with written() as out:
        for field, value in entry.body.items():
            if not isinstance(value, str):
                continue
            before = AuditEntry.objects.count()
            answer = operator.call(verb, where, {**entry.body, field: f"{value}{FORGED}"})
            assert answer.status_code < 500 or answer.status_code == 503
            for made in AuditEntry.objects.order_by("pk")[before:]:
                assert not CONTROL.search(f"{made.actor_label}{made.verb}{made.object_label}{made.request_id}"), field
    one_line_each(out.getvalue())
