"""A person who is no operator does the whole job in Chromium, from signing in to deleting what was deployed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from playwright.sync_api import Browser, Page, expect

from portal.demo.shelf import engine_python
from tests.e2e.portal_run import PortalRun

pytestmark = [pytest.mark.slow, pytest.mark.engine]
NAME, PASSWORD, ENDPOINT = "tess", "Tess-Secret-2026", "walk"
START_SECONDS, LOAD_SECONDS = 90, 420
PREPARE = f"""
from portal.demo import shelf
from portal.firstrun import WORKSPACE
from portal.tenancy.models import Membership, User, Workspace
shelf.load_seed()
shelf.shelve_chat()
user = User.objects.create_user("{NAME}", "{NAME}@example.org", "{PASSWORD}")
Membership.objects.create(workspace=Workspace.objects.get(slug=WORKSPACE), user=user, role="developer")
"""


@dataclass
class Walk:
    """One window on a portal that runs as `make run` starts it, and what went wrong in it."""

    run: PortalRun
    page: Page
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(20_000)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda said: self._note(said.type, said.text))

    def _note(self, kind: str, text: str) -> None:
        """A piece of a page that is no longer wanted is no fault, though htmx says so as one."""
        if kind == "error" and not text.startswith(("htmx:sendAbort", "htmx:afterRequest")):
            self.faults.append(f"{self.page.url}: {text}")

    def open(self, path: str) -> None:
        self.page.goto(f"{self.run.access()['PORTAL_URL']}{path}")

    def shot(self, name: str) -> None:
        """The pictures of the README, where somebody asked for them."""
        if folder := os.environ.get("SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"tenant-{name}.png", caret="initial")  # hiding it would need a style

    def sign_in(self) -> None:
        self.open("/")
        self.page.fill("input[name=login]", NAME)
        self.page.fill("input[name=password]", PASSWORD)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        self.page.wait_for_url("**/w/demo/")

    def choose_and_deploy(self) -> None:
        """From the catalogue to the endpoint's page, with a double click on the last button."""
        page = self.page
        page.get_by_role("link", name="Catalogue").first.click()
        self.shot("catalogue")
        page.fill("input[type=search]", "Tiny random")
        page.press("input[type=search]", "Enter")
        page.get_by_role("link", name="Tiny random Llama").first.click()
        page.get_by_role("link", name="Deploy", exact=True).first.click()
        page.fill("input[name=name]", ENDPOINT)
        button = page.get_by_role("button", name="Deploy Tiny random Llama")
        expect(button).to_be_enabled(timeout=30_000)
        self.shot("deploy")
        button.dblclick()
        page.wait_for_url(re.compile(r"/endpoints/[0-9a-f-]{36}/"))

    def watch(self) -> None:
        """Without a reload the page follows the engine until it serves."""
        self.page.evaluate("window.opened = 1")
        expect(self.page.locator(".status.badge").first).to_contain_text("In service", timeout=LOAD_SECONDS * 1000)
        assert self.page.evaluate("window.opened") == 1
        self.shot("endpoint")

    def talk(self) -> None:
        page = self.page
        page.get_by_role("link", name="Try it").click()
        page.fill("#max_tokens", "24")
        page.fill("#say", "Hello, who are you?")
        page.click("#send")
        expect(page.locator(".answer .tokens").first).to_contain_text(re.compile(r"\d"), timeout=60_000)
        expect(page.locator("#stop")).to_be_disabled(timeout=60_000)
        self.shot("playground")

    def make_key(self) -> str:
        page = self.page
        page.get_by_role("link", name="Keys").first.click()
        page.get_by_role("link", name="Make a key").first.click()
        page.fill("input[name=name]", "walk")
        page.get_by_role("button", name="Make the key").click()
        return page.locator(".reveal code").first.inner_text().strip()

    def requests_in_usage(self) -> int:
        """What the page of usage says of the endpoint's calls."""
        self.open("/w/demo/usage/")
        return int(self.page.locator(".metric", has_text="Requests").locator(".value").inner_text())

    def delete(self) -> None:
        page = self.page
        page.get_by_role("link", name="Endpoints").first.click()
        page.get_by_role("link", name=ENDPOINT).first.click()
        page.get_by_role("link", name="Delete").click()
        button = page.locator("#delete")
        expect(button).to_be_disabled()
        page.fill("input[name=name]", ENDPOINT)
        button.click()


@pytest.fixture
def walk(browser: Browser, tmp_path: Path) -> Iterator[Walk]:
    assert engine_python().exists(), "the engine is missing: run `make setup`"
    run = PortalRun(tmp_path / "data", "up", HF_HUB_OFFLINE="1")
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    try:
        run.wait_for("The portal is up at", START_SECONDS)
        run.manage("shell", "-c", PREPARE)
        walk = Walk(run, context.new_page())
        yield walk
    finally:
        context.close()
        run.stop()
    assert walk.faults == [], "\n".join(walk.faults)


def call(url: str, key: str) -> Any:
    with OpenAI(api_key=key, base_url=f"{url}/v1", max_retries=0) as client:
        return client.chat.completions.create(model=ENDPOINT, max_tokens=8,
                                              messages=[{"role": "user", "content": "hello"}]).usage


def test_a_person_does_the_whole_job_in_the_browser(walk: Walk) -> None:
    walk.sign_in()
    walk.choose_and_deploy()
    walk.watch()
    walk.talk()
    usage = call(walk.run.access()["PORTAL_URL"], walk.make_key())
    assert usage.completion_tokens
    for _try in range(10):  # usage is booked every two seconds
        if walk.requests_in_usage() >= 2:
            break
        walk.page.wait_for_timeout(1000)
    assert walk.requests_in_usage() == 2, "one from the playground, one from the client"
    walk.shot("usage")
    walk.delete()
    expect(walk.page.get_by_role("link", name=ENDPOINT, exact=True)).to_have_count(0, timeout=60_000)
