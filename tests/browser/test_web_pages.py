"""Every main page in Chromium: three languages, light and dark, a phone; no fault that axe-core calls serious, no error."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page
from pytest_django.plugin import DjangoDbBlocker

from endpoints.models import LoadTest
from tests.browser.portal import Portal, running_portal
from tests.endpoints.loadtest_cast import make_run
from tests.portal.world import World

AXE = Path(__file__).parent / "javascript" / "node_modules" / "axe-core" / "axe.min.js"


def runs_of(world: World) -> list[UUID]:
    """Two load tests with results, the newest first; made when they are asked for first."""
    rows = LoadTest.objects.filter(workspace=world.cast.alpha, endpoint=world.ours).order_by("-pk")
    if not rows:
        for rate, failing in ((5.0, 0.0), (8.0, 0.05)):
            make_run(world.cast.alpha, world.cast.alice, world.ours.public_name, endpoint=world.ours,
                     result={"rate": rate, "failing": failing})
    return list(rows.values_list("uid", flat=True)[:2])


PAGES: dict[str, Callable[[World], str]] = {
    "home": lambda world: "",
    "models": lambda world: "models/",
    "model": lambda world: f"models/{world.profile.model.slug}/",
    "deploy": lambda world: "deploy/",
    "endpoints": lambda world: "endpoints/",
    "endpoint": lambda world: f"endpoints/{world.ours.uid}/",
    "endpoint-why": lambda world: f"endpoints/{world.ours.uid}/why/",
    "playground": lambda world: "playground/",
    "loadtests": lambda world: "loadtests/",
    "loadtest": lambda world: f"loadtests/{runs_of(world)[0]}/",
    "loadtest-compared": lambda world: "loadtests/{}/?with={}".format(*runs_of(world)),
    "usage": lambda world: "usage/",
    "keys": lambda world: "keys/",
    "members": lambda world: "members/",
    "limits": lambda world: "limits/",
    "audit": lambda world: "audit/",
    "find": lambda world: "find/?q=alpha",
}


@dataclass(frozen=True)
class Look:
    """How somebody looks at the pages."""

    locale: str
    scheme: str
    width: int
    height: int = 900


LOOKS = {
    "english-light-desk": Look("en-GB", "light", 1440), "chinese-dark-desk": Look("zh-CN", "dark", 1440),
    "korean-light-phone": Look("ko-KR", "light", 390, 844), "english-dark-phone": Look("en-GB", "dark", 390, 844),
}


@pytest.fixture(scope="module")
def portal(browser: Browser, tmp_path_factory: pytest.TempPathFactory,
           django_db_blocker: DjangoDbBlocker) -> Iterator[Portal]:
    """After the browser: in its event loop Django keeps other connections than outside."""
    with django_db_blocker.unblock(), running_portal(tmp_path_factory.mktemp("portal")) as portal:
        yield portal


@pytest.fixture(params=LOOKS)
def window(request: pytest.FixtureRequest, browser: Browser, portal: Portal) -> Iterator[tuple[Page, list[str], str]]:
    look = LOOKS[request.param]
    context = browser.new_context(locale=look.locale, color_scheme=look.scheme,  # type: ignore[arg-type]  # a literal
                                  viewport={"width": look.width, "height": look.height})
    context.add_cookies([portal.cookie(portal.world.cast.alice)])  # type: ignore[list-item]  # a typed dict
    page, faults = context.new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    yield page, faults, request.param
    context.close()


def check_with_axe(page: Page) -> list[str]:
    """What axe-core calls serious or critical, one line each."""
    page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate("axe.run(document).then(result => result.violations)")
    return [f"{fault['id']}: {fault['help']}: {node['target']} {node['html'][:160]}"
            for fault in found if fault["impact"] in ("serious", "critical") for node in fault["nodes"]]


@pytest.mark.slow
def test_every_page_is_for_everybody(portal: Portal, window: tuple[Page, list[str], str]) -> None:
    page, faults, look = window
    folder, found = os.environ.get("SCREENSHOTS"), []
    for name, path in PAGES.items():
        answer = page.goto(f"{portal.server.url}/w/alpha/{path(portal.world)}", wait_until="load")
        assert answer is not None
        if folder:
            page.screenshot(path=Path(folder) / f"{name}.{look}.png", full_page=True, caret="initial")
        if answer.status != 200:
            found.append(f"{name}: {answer.status}")
            continue
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found += [f"{name}: {wide} px wider than the window"] if wide > 0 else []
        found += [f"{name}: {page.locator('h1').count()} main headings"] if page.locator("h1").count() != 1 else []
        found += [f"{name}: {fault}" for fault in (*check_with_axe(page), *faults)]
        faults.clear()
    assert found == []
