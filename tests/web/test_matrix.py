"""Two workspaces, every page, every verb: no page shows or changes what is the neighbour's. A page without an entry fails."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.http import HttpResponseBase
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from portal.tenancy.models import AuditEntry, User
from tests.cast import Cast
from tests.portal.world import World, make_world
from tests.web.routes import Entry, nothing

MOST_QUERIES = 25
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SECRET = b"beta-secret"  # in the name of everything that is Beta's
ROUTES: dict[str, Entry] = {}
for _file in sorted(Path(__file__).parent.glob("routes_*.py")):
    ROUTES.update(import_module(f"tests.web.{_file.stem}").ROUTES)


def web_routes(patterns: list[URLPattern | URLResolver] | None = None, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """The name of each page, and whether it lies in a workspace."""
    for each in patterns if patterns is not None else web_resolver().url_patterns:
        in_workspace = inside or "<str:slug>" in str(each.pattern)
        if isinstance(each, URLResolver):
            yield from web_routes(each.url_patterns, in_workspace)
        else:
            yield str(each.name), in_workspace


def web_resolver() -> URLResolver:
    return next(each for each in get_resolver().url_patterns
                if isinstance(each, URLResolver) and each.namespace == "web")


IN_WORKSPACE = sorted({name for name, inside in web_routes() if inside})
# Pages of one object, with each verb that they take. A page without an entry is told elsewhere.
OF_OBJECTS = [(name, verb) for name in IN_WORKSPACE for verb in ROUTES.get(name, Entry()).verbs
              if ROUTES.get(name, Entry()).ids is not nothing]
WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


def client_for(user: User | None, **options: Any) -> Client:
    client = Client(**options)
    if user is not None:
        client.force_login(user)
    return client


def address(name: str, slug: str, ids: tuple[Any, ...]) -> str:
    return reverse(f"web:{name}", args=[slug, *ids])


def ours(name: str, world: World, slug: str = "alpha") -> str:
    return address(name, slug, ROUTES[name].ids(world, world.cast.alpha))


def ask(client: Client, verb: str, path: str, body: Any = None) -> tuple[HttpResponseBase, bytes, int]:
    """The answer, its body, and how many audit entries it left; what it changed is rolled back."""
    before = AuditEntry.objects.count()
    with transaction.atomic():
        answer: HttpResponseBase = client.generic(verb, path) if body is None else client.post(path, body)
        text = b"" if answer.streaming else getattr(answer, "content", b"")
        written = AuditEntry.objects.count() - before
        transaction.set_rollback(True)
    return answer, text, written


def nowhere(ids: tuple[Any, ...]) -> tuple[Any, ...]:
    """Ids of the same kind that nothing has."""
    return tuple(uuid.uuid4() if isinstance(one, uuid.UUID) else 10**9 if isinstance(one, int) else "nowhere" for one in ids)


def plain(text: bytes, *names: str) -> bytes:
    """A page without what differs by itself: the ids that were asked for, and the tokens of forms."""
    text = re.sub(rb'(csrfmiddlewaretoken" value="|X-CSRFToken&quot;: &quot;|X-CSRFToken": ")[A-Za-z0-9]+', b"", text)
    for name in names:
        text = text.replace(name.encode(), b"")
    return text


def test_every_page_has_an_entry_and_every_entry_a_page() -> None:
    assert {name for name, _inside in web_routes()} == set(ROUTES)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", IN_WORKSPACE)
def test_nobody_and_neighbours_get_nothing(world: World, name: str, verb: str) -> None:
    path = ours(name, world)
    answer, _text, written = ask(client_for(None), verb, path)
    assert (answer.status_code in (302, 401, 405), written) == (True, 0), answer.status_code
    answer, text, written = ask(client_for(world.cast.charlie), verb, path)
    assert (answer.status_code in (404, 405), written) == (True, 0), answer.status_code
    assert b"alpha" not in plain(text, path)


@pytest.mark.parametrize(("name", "verb"), OF_OBJECTS)
def test_a_neighbours_object_in_ones_own_workspace_is_a_missing_one(world: World, name: str, verb: str) -> None:
    entry = ROUTES[name]
    theirs = entry.ids(world, world.cast.beta)
    body = dict(entry.body(world)) if entry.body and verb == "POST" else None
    alice, seen = client_for(world.cast.alice), []
    for ids in (theirs, nowhere(theirs)):
        answer, text, written = ask(alice, verb, address(name, "alpha", ids), body)
        assert (answer.status_code, written) == (404, 0)
        seen.append(plain(text, *map(str, ids)))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("name", IN_WORKSPACE)
def test_a_verb_that_a_page_does_not_take_is_refused_and_changes_nothing(world: World, name: str) -> None:
    """Save the note of when the person's session was last seen, which every page leaves."""
    path, alice = ours(name, world), client_for(world.cast.alice)
    for verb in (verb for verb in VERBS if verb not in ROUTES.get(name, Entry()).verbs):
        with CaptureQueriesContext(connection) as queries:
            answer, text, written = ask(alice, verb, path)
        assert (answer.status_code, written) == (405, 0), verb
        assert SECRET not in text, verb
        changed = [one["sql"] for one in queries.captured_queries
                   if one["sql"].startswith(WRITES) and "usersessions" not in one["sql"]]
        assert changed == [], verb


@pytest.mark.parametrize("name", [name for name in IN_WORKSPACE if "GET" in ROUTES.get(name, Entry()).verbs])
def test_a_members_page_shows_nothing_of_the_neighbours_and_is_cheap(world: World, name: str) -> None:
    entry = ROUTES[name]
    path = ours(name, world)
    alice = client_for(world.cast.alice)
    with CaptureQueriesContext(connection) as queries:
        answer, text, written = ask(alice, "GET", path)
    assert answer.status_code in entry.good, (answer.status_code, text[:500])
    assert SECRET not in text
    assert written == 0, "a GET changes nothing"
    asked = [one["sql"] for one in queries.captured_queries if "SAVEPOINT" not in one["sql"] and "auditentry" not in one["sql"]]
    assert len(asked) <= MOST_QUERIES, "\n".join(asked)


@pytest.mark.parametrize("name", [name for name in IN_WORKSPACE if "GET" in ROUTES.get(name, Entry()).verbs])
def test_every_page_is_private_and_strict(world: World, name: str) -> None:
    answer, _text, _written = ask(client_for(world.cast.alice), "GET", ours(name, world))
    assert "no-store" in answer["Cache-Control"]
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert (answer["X-Frame-Options"], answer["X-Content-Type-Options"]) == ("DENY", "nosniff")


@pytest.mark.parametrize("name", [name for name in IN_WORKSPACE if "POST" in ROUTES.get(name, Entry()).verbs])
def test_every_form_needs_its_token_and_the_right_role(world: World, name: str) -> None:
    entry = ROUTES[name]
    path = ours(name, world)
    body = dict(entry.body(world)) if entry.body else {}
    answer, _text, written = ask(client_for(world.cast.alice, enforce_csrf_checks=True), "POST", path, body)
    assert (answer.status_code, written) == (403, 0), "without a token"
    if not entry.viewer_may_post:
        answer, _text, written = ask(client_for(world.cast.vera), "POST", path, body)
        assert (answer.status_code, written) == (403, 0), "a viewer"


@pytest.mark.parametrize("name", [name for name in IN_WORKSPACE if ROUTES.get(name, Entry()).foreign])
def test_a_neighbours_id_in_a_form_is_unknown(world: World, name: str) -> None:
    entry = ROUTES[name]
    assert entry.body is not None
    path = ours(name, world)
    alice = client_for(world.cast.alice)
    for field, make in entry.foreign.items():
        (theirs,) = make(world, world.cast.beta)
        answer, text, written = ask(alice, "POST", path, {**entry.body(world), field: str(theirs)})
        assert (answer.status_code, written) == (422, 0), (field, answer.status_code)
        assert SECRET not in plain(text, str(theirs)), field


@pytest.mark.parametrize("name", [name for name in IN_WORKSPACE if "GET" in ROUTES.get(name, Entry()).verbs])
def test_operators_see_the_same_pages_and_all_workspaces(world: World, name: str) -> None:
    entry = ROUTES[name]
    operator = client_for(world.cast.operator)
    for slug in ("alpha", "-"):
        answer, text, _written = ask(operator, "GET", ours(name, world, slug))
        assert answer.status_code in ((*entry.good, 404) if slug == "-" else entry.good), (slug, text[:300])
