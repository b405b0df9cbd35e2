"""Every page in Chinese and Korean: it says so, it is so, and no English sentence is left in it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils.translation import trans_real
from django.utils.translation.trans_real import translation as catalogue_of

from portal.tenancy.models import User
from tests.cast import Cast
from tests.po import LOCALE, languages
from tests.portal.world import World, make_world

from .test_matrix import IN_WORKSPACE, ROUTES, ask, ours

PAGES = [name for name in IN_WORKSPACE if "GET" in ROUTES[name].verbs and not ROUTES[name].is_stream]
SCRIPTS = {"zh-hans": re.compile(r"[一-鿿]"), "ko": re.compile(r"[가-힣]")}
SENTENCE = re.compile(r"[A-Za-z][a-z']+ [a-z][a-z']+ [a-z][a-z']+")
# Shown as they are written: code, what a machine said, what a person typed.
AS_WRITTEN = {"code", "pre", "script", "style", "samp", "kbd", "textarea", "svg", "datalist"}
EMPTY = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr"}


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogues as programs read them, whatever setup compiled before."""
    folder = tmp_path_factory.mktemp("locale")
    for language in languages():
        (folder / language / "LC_MESSAGES").mkdir(parents=True)
        subprocess.run(["msgfmt", "--check-format", "-o", folder / language / "LC_MESSAGES" / "django.mo",
                        LOCALE / language / "LC_MESSAGES" / "django.po"], check=True)
    return folder


@pytest.fixture
def in_languages(compiled: Path, settings: Any) -> Iterator[None]:
    settings.LOCALE_PATHS = [str(compiled)]
    trans_real._translations.clear()  # type: ignore[attr-defined]
    yield
    trans_real._translations.clear()  # type: ignore[attr-defined]


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


class Words(HTMLParser):
    """What a person reads or hears on a page, without what is marked as English or as code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.language = ""
        self._open: list[tuple[str, bool]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "html":
            self.language = values.get("lang", "")
        hidden = self._hidden or tag in AS_WRITTEN or (tag != "html" and values.get("lang", "").startswith("en"))
        if not hidden:
            self.found += [values[name] for name in ("title", "aria-label", "placeholder", "data-label") if name in values]
        if tag not in EMPTY:
            self._open.append((tag, hidden))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            continue

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.found.append(" ".join(data.split()))

    @property
    def _hidden(self) -> bool:
        return bool(self._open) and self._open[-1][1]

    def english(self, language: str) -> list[str]:
        return [text for text in self.found if SENTENCE.search(text) and not SCRIPTS[language].search(text)]


def client_in(language: str, user: User) -> Client:
    User.objects.filter(pk=user.pk).update(language=language)
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.usefixtures("in_languages")
@pytest.mark.parametrize("language", SCRIPTS)
def test_every_page_is_in_the_persons_language(world: World, language: str) -> None:
    client, left, seen = client_in(language, world.cast.alice), {}, 0
    for name in PAGES:
        answer, body, _written = ask(client, "GET", ours(name, world))
        if answer.status_code != 200 or b"<html" not in body:
            continue
        words = Words(body.decode().replace("alpha key", ""))
        seen += 1
        assert (name, words.language, answer.headers["Content-Language"]) == (name, language, language)
        assert sum(bool(SCRIPTS[language].search(text)) for text in words.found) > 20, name
        left[name] = words.english(language)
    assert seen > 20
    assert {name: texts for name, texts in left.items() if texts} == {}


@pytest.mark.usefixtures("in_languages")
@pytest.mark.parametrize(("wanted", "language"), [
    ("zh-CN,zh;q=0.9,en;q=0.5", "zh-hans"), ("ko-KR,ko;q=0.9", "ko"), ("en-GB,en;q=0.9,ko;q=0.5", "en"), ("fr", "en"),
])
def test_a_strangers_page_is_in_the_browsers_language(db: None, wanted: str, language: str) -> None:
    page = Client().get("/", headers={"Accept-Language": wanted}, follow=True)
    words = Words(page.content.decode())
    assert words.language == language
    if language in SCRIPTS:
        assert words.english(language) == []


@pytest.mark.usefixtures("in_languages")
def test_words_of_django_and_unfold_are_there_too() -> None:
    for language, save, search in (("zh-hans", "保存", "搜索应用和模型…"), ("ko", "저장", "앱과 모델 검색…")):
        catalogue = catalogue_of(language)
        assert (catalogue.gettext("Save"), catalogue.gettext("Search apps and models...")) == (save, search)
