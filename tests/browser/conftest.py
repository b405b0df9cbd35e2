"""Real Chromium over a real server; a page error or a refused script fails the test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.cast import Cast, make_cast
from tests.portal.conftest import STORAGES

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@dataclass
class Window:
    """A page, the address of the portal, and everything that went wrong in it."""

    page: Page
    address: str
    faults: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.address + path)

    def sign_in(self, name: str) -> None:
        self.open("/account/login/?next=/admin/")
        self.page.fill("#login", name)
        self.page.fill("#password", f"{name}-Secret-1")
        self.page.press("#password", "Enter")
        self.page.wait_for_url(f"{self.address}/admin/")

    def shot(self, name: str) -> None:
        """A picture for people, where somebody asked for one."""
        if folder := os.environ.get("SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return make_cast()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Closed after each module, because its event loop lives in this thread, where other tests want their own."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("Chromium is missing: apt-get install chromium, or leave these tests out with FAST=1")
    # The tests themselves are plain and use the database beside that loop.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        running = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def window(browser: Browser, live_server: Any, settings: Any, request: pytest.FixtureRequest) -> Iterator[Window]:
    settings.STORAGES = STORAGES
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **getattr(request, "param", {})})
    made = Window(context.new_page(), live_server.url)
    made.page.on("pageerror", lambda error: made.faults.append(str(error)))
    made.page.on("console", lambda message: made.faults.append(message.text) if message.type == "error" else None)
    made.page.on("response", lambda answer: made.faults.append(f"{answer.status} {answer.url}")
                 if answer.status >= 400 else None)
    yield made
    context.close()
    assert made.faults == []
