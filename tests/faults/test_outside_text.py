"""Words from clusters, engines, agents, AWS and people are text wherever they are shown, and one line in every log (T43)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse

from clusters.models import Cluster, Node
from endpoints import services
from endpoints.models import Endpoint, Event, LoadTest, Revision
from models_catalog.models import CatalogModel, EulaAcceptance, ModelCopy, Vendor
from portal.tenancy.models import AuditEntry
from tests.cast import Cast
from tests.endpoints.kubernetes.cluster_play import new_endpoint, until
from tests.kube import make_kubernetes_place
from tests.portal.conftest import STORAGES, signed_in
from tests.portal.world import World, make_world
from tests.simulators.kubernetes.server import Simulator, cpu_node
from tests.test_house import ROOMS, ROOT, sources
from tests.web.test_matrix import IN_WORKSPACE, ROUTES, ours

from .crawling import crawl
from .neighbours import make_neighbours
from .planting import models, plant

pytestmark = pytest.mark.django_db
# Short, because names are: it closes an attribute of either kind, makes an element, and runs something.
NASTY = "\"'><xss onx=1><script>evil()</script>"
LINK = "javascript:evil()//"
SHOWN = ("&quot;&#x27;&gt;&lt;xss", "&quot;&#39;&gt;&lt;xss")
ADDRESSES = {"href", "src", "action", "formaction", "xlink:href", "poster", "data", "srcdoc", "hx-get", "hx-post"}
RUN = re.compile(r"^[\s\x00-\x20]*(javascript|vbscript|data)\s*:", re.IGNORECASE)
EXECUTED = ("x-", "@", ":", "hx-on", "hx-vars", "hx-vals")


class Reader(HTMLParser):
    """Reads a page as a browser does, and notes whatever a payload has become besides text."""

    def __init__(self) -> None:
        super().__init__()
        self.harm: list[str] = []
        self.script: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "xss" or any(name.startswith("on") or set(name) & set("<\"'") for name in given):
            self.harm.append(f"<{tag} {' '.join(given)}>")
        self.harm += [f"{tag} {name}={value}" for name, value in given.items() if (name in ADDRESSES and RUN.match(value))
                      or (name.startswith(EXECUTED) and "evil" in value)]
        self.script = given.get("type", "") if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        self.script = None

    def handle_data(self, data: str) -> None:
        if self.script is not None and "json" not in self.script and "evil" in data:
            self.harm.append(f"script {data[:100]}")


def harm_in(page: str) -> list[str]:
    reader = Reader()
    reader.feed(page)
    return reader.harm


@pytest.mark.parametrize("page", [
    f"<p>{NASTY}</p>", f'<p title="{NASTY}">', f"<p title='{NASTY}'>", f'<a href="{LINK}">', '<a href=" JavaScript:x">',
    "<script>let a = 'evil()'</script>", '<p x-data="{name: \'evil()\'}">', "<img src=x onerror=x>",
])
def test_the_reader_sees_what_a_browser_would_run(page: str) -> None:
    assert harm_in(page)


def test_the_reader_takes_text_for_text() -> None:
    assert harm_in("<p title=\"&lt;xss onx=1&gt;\">&lt;script&gt;evil()&lt;/script&gt;</p>"
                   "<script type=\"application/json\">\"\\u003Cscript\\u003Eevil()\"</script>") == []


@pytest.fixture
def world(cast: Cast, settings: Any) -> World:
    """Everything that is words in any row, Alpha's, Beta's and nobody's, is a payload."""
    settings.STORAGES = STORAGES
    settings.PORTAL_AWS_ENDPOINT = "http://127.0.0.1:1"
    made = make_world(cast)
    make_neighbours(made)
    Event.objects.create(endpoint=made.ours, kind="error", message="failed", actor_label="x", generation=1)
    AuditEntry.objects.create(workspace=cast.alpha, actor=cast.alice, actor_label="x", verb="create", kind="x.y",
                              object_label="x", before={NASTY: NASTY}, after={NASTY: "x"})
    for name in IN_WORKSPACE:
        ROUTES[name].ids(made, cast.alpha)
    for model in models():
        plant(model._base_manager.all(), lambda _column: NASTY, in_json=False)
    _in_json(made)
    return made


def _in_json(world: World) -> None:
    """Where the shape is known: what is shown of it is what others have written."""
    Node.objects.update(labels={NASTY: NASTY}, taints=[{"key": NASTY, "value": NASTY, "effect": NASTY}])
    drift = [{"object": NASTY, "path": NASTY, "before": NASTY, "after": NASTY, "manager": NASTY}]
    Endpoint.objects.update(notes=[NASTY], drift=drift, status="FAILED", cause="Error")
    for revision in Revision.objects.all():
        Revision.objects.filter(pk=revision.pk).update(spec={**revision.spec, "arguments": {NASTY: NASTY}})
    for run in LoadTest.objects.all():
        LoadTest.objects.filter(pk=run.pk).update(summary={
            **run.summary, "errors": {"http_500": {"count": 3, "message": NASTY}}})
    CatalogModel.objects.update(languages=[NASTY], sources=[LINK])
    Vendor.objects.update(names={"enUS": NASTY}, homepage=LINK)
    ModelCopy.objects.update(notes=[NASTY], state="FAILED")
    EulaAcceptance.objects.update(url=LINK)


@pytest.mark.slow
@pytest.mark.parametrize("person", ["alice", "operator"])
def test_pages_of_the_portal_show_it_as_text(world: World, person: str) -> None:
    browser = signed_in(getattr(world.cast, person))
    begin = ["/", "/account/", *(ours(name, world) for name in IN_WORKSPACE if "GET" in ROUTES[name].verbs)]
    check(crawl(browser, begin, ("/w/", "/account/"), queries=3, most=150), shown=40)


@pytest.mark.slow
def test_pages_of_the_admin_show_it_as_text(world: World) -> None:
    browser = signed_in(world.cast.operator)
    begin = ["/admin/", "/admin/search/?s=xss&extended=1"]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        begin += [reverse(f"{name}_changelist"), reverse(f"{name}_changelist") + "?q=xss"]
        begin += [reverse(f"{name}_{page}", args=[row.pk]) for row in model._default_manager.all()[:2]
                  for page in ("change", "delete", "history")]
    check(crawl(browser, begin, ("/admin/",), forms=({},), queries=1, most=300), shown=80)


def check(pages: Iterator[Any], *, shown: int) -> None:
    """No page made anything else of the words than text, and on so many at least they are shown."""
    harmed, broken, seen = {}, [], 0
    for page in pages:
        if "json" in page.text[:400]:
            continue
        harm = harm_in(page.text.partition("\n\n")[2]) if "text/html" in page.text[:1000] else []
        if harm:
            harmed[page.path] = harm[:3]
        if page.status >= 500 and page.status != 503:
            broken.append(page.path)
        seen += any(form in page.text for form in SHOWN)
    assert harmed == {}
    assert broken == []
    assert seen >= shown, seen


OUTSIDE = f"{NASTY} \x1b[31mred\x1b[0m\x07\x9b2J " + "long " * 2000


@pytest.fixture
def place(cast: Cast) -> Iterator[tuple[Cluster, Simulator]]:
    with Simulator(nodes=[cpu_node("cpu-a")], speed=10.0) as sim:
        yield make_kubernetes_place(sim), sim


def test_what_a_cluster_says_is_stripped_cut_and_shown_as_text(
    cast: Cast, place: tuple[Cluster, Simulator], settings: Any,
) -> None:
    settings.STORAGES = STORAGES
    cluster, sim = place
    endpoint = new_endpoint(cast, cluster, "talks")
    sim.pods_fail(name=f"{endpoint.external_name}-0", as_="crash:1", log=OUTSIDE, previous_log=OUTSIDE)
    endpoint = until(endpoint, lambda row: row.cause == "CrashLoop")
    kept = [endpoint.message, endpoint.last_error, *Event.objects.values_list("message", flat=True)]
    kept.append(services.logs(endpoint, previous=True))
    assert any("evil()" in text for text in kept)
    browser = signed_in(cast.alice)
    pages = [f"/w/alpha/endpoints/{endpoint.uid}/{rest}" for rest in (
        "", "why/", "log/?previous=1", "log/file/?previous=1", "events/", "part/head/", "part/replicas/")]
    texts = [browser.get(page).content.decode() for page in pages]
    for text in (*kept, *texts):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    assert [harm_in(text) for page, text in zip(pages, texts, strict=True) if "file" not in page] == [[]] * (len(pages) - 1)


# What makes the above hold, in the source.

RAW = {
    "a template that does not escape": r"\|\s*safe\b|autoescape\s+off|\|\s*safeseq\b",
    "a payload in a program": r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>",
}


DRAWN = {"templates/mfa/totp/activate_form.html"}  # a picture of squares, and nobody's words


@pytest.mark.parametrize("what", RAW)
def test_no_template_shows_words_as_markup(what: str) -> None:
    files = [path for folder in ("templates", *ROOMS) for path in (ROOT / folder).rglob("*.html")]
    assert len(files) > 100
    raw = {str(path.relative_to(ROOT)) for path in files if re.search(RAW[what], path.read_text())}
    assert raw - DRAWN == set()


def test_no_code_declares_words_to_be_markup() -> None:
    """What is declared to be markup is a literal or its translation, so that no value is in it that was not escaped."""
    found = []
    for name, text in sources().items():
        for node in ast.walk(ast.parse(text)):
            called = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if called in ("SafeString", "SafeText", "format_html", "format_html_join", "mark_safe") and not is_literal(node):
                found.append(name)
    assert found == []


def is_literal(call: Any) -> bool:
    first = call.args[0]
    is_translated = isinstance(first, ast.Call) and getattr(first.func, "id", "") in ("_", "ngettext")
    return isinstance(first, ast.Constant) or is_translated


SERVERS_OWN = {"static/web/endpoint-log.js", "static/portal/admin.js"}  # put a piece that the server has escaped


def test_scripts_write_text() -> None:
    files = [path for folder in ("static/web", "static/portal") for path in Path(ROOT / folder).rglob("*.js")]
    raw = re.compile(r"\.(innerHTML|outerHTML)\s*=|insertAdjacentHTML|document\.write|\beval\(|new Function")
    assert {str(path.relative_to(ROOT)) for path in files if raw.search(path.read_text())} == SERVERS_OWN
