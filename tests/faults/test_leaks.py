"""Nothing of Beta's reaches Alpha's people: no word, no figure and no byte, by any page, piece, file, API or admin (T4, T5)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import timezone

from portal.tenancy.models import Workspace
from tests.cast import Cast
from tests.portal.apiclient import Api, by_key
from tests.portal.apiworld import World as ApiWorld
from tests.portal.apiworld import make_world as make_api_world
from tests.portal.conftest import STORAGES, signed_in
from tests.portal.test_matrix import MATRIX
from tests.portal.world import World, make_world
from tests.web.test_matrix import IN_WORKSPACE, ROUTES, ours, plain

from .crawling import PIECE, Seen, crawl, text_of, with_parameter
from .neighbours import OF_NOBODY, REQUESTS, TOKENS, make_neighbours, rows_of
from .planting import is_free, models, plant

pytestmark = pytest.mark.django_db
TOKEN = "zqxb7f3e9"  # stands in every word of Beta's, and nowhere else
SEARCHED = TOKEN[:6]  # a page may show what was searched for
FIGURES = re.compile("|".join("[,.  ’']?".join(re.findall(r"\d{1,3}(?=(?:\d{3})*$)", str(figure)))
                              for figure in (REQUESTS, TOKENS)))


@pytest.fixture(autouse=True)
def plain_static_files(settings: Any) -> None:
    settings.STORAGES = STORAGES
    settings.PORTAL_AWS_ENDPOINT = "http://127.0.0.1:1"


@pytest.fixture
def world(cast: Cast) -> World:
    made = make_world(cast)
    make_neighbours(made)
    return made


@pytest.fixture
def planted(world: World) -> World:
    for _kind, rows in rows_of(world.cast.beta):
        plant(rows, lambda column: f"{TOKEN} {column}")
    return world


def leaks(seen: Seen) -> bool:
    return TOKEN in seen.text.lower() or FIGURES.search(seen.text) is not None


def pages_of(world: World, slug: str) -> list[str]:
    return [ours(name, world, slug) for name in IN_WORKSPACE if "GET" in ROUTES[name].verbs]


def test_there_is_a_row_of_every_kind_that_holds_words(world: World) -> None:
    found = dict(rows_of(world.cast.beta))
    free = {model._meta.label_lower for model in models() if any(map(is_free, model._meta.concrete_fields))}
    assert {label for label in free - OF_NOBODY if not found.get(label)} == set()


def test_alices_browser_never_learns_of_beta(planted: World) -> None:
    alice = signed_in(planted.cast.alice)
    seen = list(crawl(alice, ["/", "/account/", *pages_of(planted, "alpha")], ("/w/", "/account/", "/healthz")))
    assert [each.path for each in seen if leaks(each)] == []
    assert len({each.path for each in seen if each.status == 200}) > 100
    files = [each for each in seen if "attachment" in each.text]
    kinds = {"csv", "xlsx", ".log"}
    assert {kind for kind in kinds if any(kind in each.text[:600] for each in files)} == kinds


def test_the_same_way_finds_it_where_it_belongs(planted: World) -> None:
    operator = signed_in(planted.cast.operator)
    seen = [Seen(path, answer.status_code, text_of(answer), frozenset()) for path in (
        "/w/beta/", "/w/beta/endpoints/", "/w/beta/usage/", "/w/beta/usage/table/?format=xlsx", "/w/beta/members/",
        "/w/beta/keys/", "/w/beta/audit/", "/w/beta/loadtests/", "/w/-/", "/w/-/usage/")
        for answer in [operator.get(path)]]
    assert [each.path for each in seen if not leaks(each)] == []


@pytest.mark.slow
def test_no_parameter_of_a_page_leads_to_beta(planted: World) -> None:
    """Each name that a form or a link of a page sends, with all that Beta's rows are known by."""
    alice = signed_in(planted.cast.alice)
    tried = 0
    for path in pages_of(planted, "alpha"):
        seen = list(crawl(alice, [path], ("/nowhere",)))
        names = {name for each in seen for name in each.names if "__" not in name} - {"csrfmiddlewaretoken", "once", "next"}
        for name in sorted(names - ({"q"} if not path.endswith(SEARCHING) else set())):
            for value in [SEARCHED, "beta", *known_by(planted)]:
                answer = alice.get(with_parameter(path, name, value), headers=PIECE)
                tried += 1
                assert not leaks(Seen(path, answer.status_code, text_of(answer), frozenset())), (path, name, value)
    assert tried > 300


SEARCHING = ("/find/", "/endpoints/", "/models/", "/audit/", "/alpha/")


def known_by(world: World) -> list[str]:
    theirs = dict(rows_of(world.cast.beta))
    kinds = ("endpoints.endpoint", "tenancy.apikey", "tenancy.membership", "endpoints.loadtest")
    return [str(world.cast.charlie.pk), *(str(theirs[kind][0].uid) for kind in kinds)]


@pytest.fixture
def api_world(cast: Cast) -> ApiWorld:
    """Alpha as the API's own tests have it, beside a Beta that has everything."""
    made = make_api_world(cast)
    other = make_world(replace(cast, alpha=Workspace.objects.create(name="Gamma", slug="gamma")))
    make_neighbours(other)
    for _kind, rows in rows_of(cast.beta):
        plant(rows, lambda column: f"{TOKEN} {column}")
    return made


def routes() -> list[str]:
    """Every address of the API that is read."""
    return [path for verb, path in MATRIX if verb == "GET"]


def test_no_answer_of_the_api_has_a_word_of_beta(api_world: ApiWorld) -> None:
    narrowed = ("", "?workspace=beta", "?limit=100", f"?q={SEARCHED}", f"?search={SEARCHED}", f"?name={SEARCHED}",
                "?group=workspace", "?group=model,key", "?group=member", "?group=endpoint", "?form=csv")
    callers = [Api(api_world.cast.alice), by_key(api_world.cast.alice, api_world.cast.alpha)]
    for path in routes():
        for query in narrowed:
            where = f"/api/v1{path.format_map(api_world.names())}{query}"
            for caller in callers:
                answer = caller.get(where)
                assert not leaks(Seen(where, answer.status_code, text_of(answer), frozenset())), where
    operator = Api(api_world.cast.operator)
    found = [path for path in ("/endpoints", "/audit", "/models", "/workspaces", "/copies", "/profiles")
             if TOKEN in text_of(operator.get(f"/api/v1{path}?limit=100"))]
    assert len(found) == 6, "the search would notice"


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/health", "/api/v1/docs", "/api/v1/openapi.json",
                                  "/admin/", "/account/"])
def test_pages_of_the_portal_itself_have_no_word_of_beta(planted: World, path: str) -> None:
    alice = signed_in(planted.cast.alice)
    answer = alice.get(path, REMOTE_ADDR="192.0.2.7")
    assert not leaks(Seen(path, answer.status_code, text_of(answer), frozenset()))
    assert (answer.status_code == 401) == (path == "/metrics")


def test_figures_of_all_tenants_are_for_this_machine_and_operators(planted: World) -> None:
    answer = signed_in(planted.cast.operator).get("/metrics", REMOTE_ADDR="192.0.2.7")
    assert answer.status_code == 200
    assert TOKEN not in text_of(answer), "and they are figures without names"


def bare(text: bytes) -> bytes:
    """A page without what is drawn anew for each answer."""
    return re.sub(rb'name="(once|token|plan)"[^>]*value="[^"]*"|value="[^"]*"[^>]*name="once"', b"", plain(text))


def test_whatever_beta_has_or_does_changes_no_byte_of_alphas_pages(
    world: World, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No count, no facet, no "one of seven", no order and no page number."""
    now = datetime.now(UTC)
    monkeypatch.setattr(timezone, "now", lambda: now)
    alice, api_of_alice = signed_in(world.cast.alice), Api(world.cast.alice)
    pages = pages_of(world, "alpha")
    lists = [f"/api/v1{path}" for path in routes() if "{" not in path]

    def bodies() -> dict[str, bytes]:
        return ({path: bare(getattr(alice.get(path), "content", b"")) for path in pages}
                | {path: re.sub(rb'"request_id": *"[^"]*"', b"", api_of_alice.get(path).content) for path in lists})

    bodies()
    before = bodies()
    for number in range(3):
        make_neighbours(world, f"beta-more-{number}")
    for _kind, rows in rows_of(world.cast.beta):
        plant(rows, lambda column: f"{TOKEN} {column}")
    after = bodies()
    assert [path for path in before if before[path] != after[path]] == []
    assert sum(map(len, before.values())) > 100_000
