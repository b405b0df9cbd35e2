"""The playground in real Chromium, against the real server and gateway, with small engines that answer as vLLM does."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, expect
from pytest_django.plugin import DjangoDbBlocker

from endpoints.models import Backend, Endpoint, UsageHour
from endpoints.services.token_prices import set_price
from models_catalog.choices import Task
from models_catalog.models import Profile
from portal.tenancy.models import ApiKey, Limit
from tests.browser.portal import Portal, running_portal
from tests.browser.test_web_pages import check_with_axe
from tests.cast import make_profile, set_limit
from tests.gateway.server import eventually
from tests.portal.world import make_endpoint
from tests.simulators.openai_backend import OpenAIBackend, Script

pytestmark = pytest.mark.browser
Visit = Callable[..., Page]
Engines = dict[str, OpenAIBackend]
MESSAGE = "A customer says the invoice is wrong."


@pytest.fixture(scope="module")
def portal(browser: Browser, tmp_path_factory: pytest.TempPathFactory,
           django_db_blocker: DjangoDbBlocker) -> Iterator[Portal]:
    with django_db_blocker.unblock(), running_portal(tmp_path_factory.mktemp("playground")) as portal:
        yield portal


@pytest.fixture(scope="module")
def engines(portal: Portal) -> Iterator[Engines]:
    """By the names of their models."""
    with OpenAIBackend() as qwen, OpenAIBackend() as llama, OpenAIBackend() as embed, OpenAIBackend() as rank:
        found = {"qwen": qwen, "llama": llama, "embed": embed, "rank": rank}
        tasks = {"qwen": Task.VISION_CHAT, "embed": Task.EMBEDDING, "rank": Task.RERANK}
        for name, engine in found.items():
            serve(portal, name, engine, profile_of(tasks.get(name, Task.CHAT)))
        set_price(portal.world.cast.actor("operator"), workspace=portal.world.cast.alpha, public_name="qwen",
                  prompt=Decimal(1), completion=Decimal(2))
        yield found


@pytest.fixture(autouse=True)
def calm(portal: Portal, engines: Engines) -> None:
    """Every test begins with quick engines and without limits."""
    for engine in engines.values():
        engine.script = Script()
        engine.requests.clear()
    Limit.objects.filter(workspace=portal.world.cast.alpha).delete()


def profile_of(task: str) -> Profile:
    profile = make_profile(f"{task}-model-cpu")
    type(profile.model).objects.filter(pk=profile.model_id).update(task=task)
    return Profile.objects.get(pk=profile.pk)


def serve(portal: Portal, name: str, engine: OpenAIBackend, profile: Profile) -> Endpoint:
    row = make_endpoint(portal.world.cast, portal.world.cast.alpha, portal.world.shared, profile, name)
    Endpoint.objects.filter(pk=row.pk).update(public_name=name, public_key=name, status="INSERVICE")
    Backend.objects.create(endpoint=row, key="0", url=engine.url, revision=1)
    return row


@pytest.fixture
def looks() -> dict[str, Any]:
    return {"viewport": {"width": 1440, "height": 900}}


@pytest.fixture
def page(browser: Browser, portal: Portal, looks: dict[str, Any]) -> Iterator[Page]:
    """Alice's browser. What the page's script throws, and what the policy refuses, fails the test."""
    context = browser.new_context(**looks)
    context.add_cookies([portal.cookie(portal.world.cast.alice)])  # type: ignore[list-item]  # a typed dict
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=portal.server.url)
    made, faults = context.new_page(), []
    made.on("pageerror", lambda error: faults.append(str(error)))
    made.on("console", lambda message: faults.append(message.text)
            if message.type == "error" and "the server responded with a status of" not in message.text else None)
    yield made
    context.close()
    assert faults == []


@pytest.fixture
def visit(page: Page, portal: Portal) -> Callable[..., Page]:
    """Open the playground with these models chosen."""

    def make(*names: str, tried: str = "chat") -> Page:
        uids = [Endpoint.objects.get(workspace=portal.world.cast.alpha, public_name=name).uid for name in names]
        query = "&".join([f"try={tried}", *[f"endpoint={uid}" for uid in uids]])
        page.goto(f"{portal.server.url}/w/alpha/playground/?{query}")
        return page

    return make


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def say(page: Page, text: str = MESSAGE) -> None:
    page.fill("#say", text)
    page.press("#say", "Enter")


def done(page: Page, count: int = 1) -> None:
    expect(page.locator(".columns .status", has_text="Done")).to_have_count(count)


def body_of(engine: OpenAIBackend) -> Any:
    return engine.requests[-1].body


def test_two_models_answer_the_same_message(visit: Visit, engines: Engines) -> None:
    engines["qwen"].script = Script(words=12, delay=0.02, word="**one**\n\n- item")
    page = visit("qwen")
    expect(page.get_by_role("heading", level=1)).to_contain_text("models answer now")
    page.get_by_role("button", name="Add a model").click()
    page.locator(".columns select").nth(1).select_option(label="llama")
    expect(page.locator(".columns select").first.locator("option[disabled]")).to_have_text(
        ["alpha-chat: Pending", "alpha-route (route): No endpoint behind it answers"])
    page.fill("#system", "Be short.")
    page.fill("#max_tokens", "64")
    say(page)
    done(page, 2)
    first, second = page.locator(".columns .answer").all()
    expect(first.locator(".said li")).to_have_count(12)
    expect(first.locator(".said b").first).to_have_text("one")
    expect(second.locator(".said p").first).to_have_text(re.compile("word0 word1 .*word4"))
    expect(first.locator(".tokens")).to_have_text("5 out, 7 in")
    expect(first.locator(".took")).to_contain_text("$0.000017")
    expect(second.locator(".took")).to_contain_text("no price")
    expect(first.locator(".talk")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#spent")).to_have_text("$0.000017")
    asked = body_of(engines["qwen"])
    assert asked["messages"] == [{"role": "system", "content": "Be short."}, {"role": "user", "content": MESSAGE}]
    assert (asked["max_tokens"], asked["temperature"], "seed" in asked) == (64, 0.7, False)
    shot(page, "playground-two")
    say(page, "And now?")
    expect(page.locator(".columns .said")).to_have_count(4)
    done(page, 2)
    assert [one["role"] for one in body_of(engines["llama"])["messages"]] == ["system", "user", "assistant", "user"]
    keys = ApiKey.objects.of_pages()
    assert [key.model_names for key in keys] == [["llama", "qwen"]], "one key for both, and for both turns"
    stored = page.evaluate("JSON.stringify({...localStorage, ...sessionStorage}) + document.documentElement.outerHTML")
    assert f"sk-{keys[0].public_id}" not in stored
    usage = eventually(lambda: list(UsageHour.objects.filter(key_id=keys[0].pk)), 20)
    assert {row.member_name for row in usage} == {"alice"}


def test_stop_ends_the_engines_work_within_a_second(visit: Visit, engines: Engines) -> None:
    engine = engines["qwen"]
    engine.script = Script(words=400, delay=0.05)
    page = visit("qwen")
    say(page)
    expect(page.locator(".said")).to_contain_text("word3")
    expect(page.locator(".columns .status")).to_have_text("Writing")
    expect(page.locator(".talk")).to_have_attribute("aria-busy", "true")
    shot(page, "playground-writing")
    assert engine.open_requests == 1
    page.click("#stop")
    eventually(lambda: engine.open_requests == 0, 1.5)
    expect(page.locator(".columns .status")).to_have_text("Stopped")
    expect(page.locator(".said")).to_contain_text("word3")
    engine.script = Script()
    page.click("#edit")
    expect(page.locator("#say")).to_have_value(MESSAGE)
    expect(page.locator(".said")).to_have_count(0)
    page.click("#send")
    done(page)
    assert len(body_of(engine)["messages"]) == 1, "the edited turn took the place of the stopped one"


def test_a_limit_says_which_and_when_again(visit: Visit, engines: Engines, portal: Portal) -> None:
    set_limit(portal.world.cast.alpha, "model", of={"model_name": "qwen"}, requests_per_minute=1)
    page = visit("qwen")
    client = "Too many"

    def is_refused() -> bool:
        say(page, client)
        expect(page.locator("#send")).to_be_enabled()
        return page.locator(".notice.is-bad").count() > 0

    eventually(is_refused, 10)
    notice = page.locator(".columns .notice").last
    expect(notice).to_contain_text("The limit of this model is reached. 1 of 1 requests a minute are used.")
    expect(notice).to_contain_text("It takes calls again at")
    expect(notice.get_by_role("link", name="Look at the limits")).to_have_attribute("href", "/w/alpha/limits/")
    shot(page, "playground-limit")
    Limit.objects.all().delete()

    def is_answered() -> bool:
        page.locator(".columns .notice").last.get_by_role("button", name="Try again").click()
        expect(page.locator("#send")).to_be_enabled()
        return page.locator(".columns .status", has_text="Done").count() == 1

    eventually(is_answered, 10)


@pytest.mark.parametrize(("script", "sentence"), [
    (Script(cut_after=2), "The answer was cut off"),
    (Script(status=400, body=b'{"error":{"message":"The prompt is too long"}}'), "engine refused: The prompt is too long"),
    (Script(die_before_answer=9), "engine did not answer"),
])
def test_what_goes_wrong_is_said_with_a_way_out(visit: Visit, engines: Engines, script: Script,
                                                sentence: str) -> None:
    engines["qwen"].script = script
    page = visit("qwen")
    say(page)
    notice = page.locator(".columns .notice")
    expect(notice).to_contain_text(sentence)
    engines["qwen"].script = Script()
    notice.get_by_role("button", name="Try again").click()
    done(page)
    expect(notice).to_have_count(0)


def test_an_ended_key_is_drawn_anew(visit: Visit, engines: Engines) -> None:
    page = visit("qwen")
    say(page)
    done(page)
    before = ApiKey.objects.of_pages().count()
    ApiKey.objects.of_pages().delete()
    eventually(lambda: page.evaluate("fetch('/v1/models').then(answer => answer.status)") == 401)
    page.wait_for_timeout(600)  # until the gateway has read the keys again
    say(page, "Still there?")
    expect(page.locator(".said")).to_have_count(2)
    done(page)
    assert (before > 0, ApiKey.objects.of_pages().count()) == (True, 1)


def test_who_is_signed_out_is_told_so(visit: Visit, engines: Engines) -> None:
    page = visit("qwen")
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    say(page)
    notice = page.locator(".columns .notice")
    expect(notice).to_contain_text("You are signed out.")
    notice.get_by_role("link", name="Sign in").click()
    page.wait_for_url(re.compile("next="))


def test_who_reads_further_up_stays_there(visit: Visit, engines: Engines) -> None:
    engines["qwen"].script = Script(words=150, delay=0.02, word="- item\n\n")
    page = visit("qwen")
    say(page)
    talk = page.locator(".talk")
    expect(page.locator(".said")).to_contain_text("30 - item")
    assert talk.evaluate("node => node.scrollHeight - node.scrollTop - node.clientHeight") < 40, "it follows the end"
    talk.evaluate("node => { node.scrollTop = 100; }")
    done(page)
    assert talk.evaluate("node => node.scrollTop") == 100


def test_without_script_the_page_says_so(browser: Browser, portal: Portal, engines: Engines) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies([portal.cookie(portal.world.cast.alice)])  # type: ignore[list-item]  # a typed dict
    page = context.new_page()
    page.goto(f"{portal.server.url}/w/alpha/playground/")
    expect(page.locator("noscript .notice")).to_be_visible()
    expect(page.locator("#playground")).to_be_hidden()
    context.close()


def test_words_of_a_model_are_never_markup(visit: Visit, engines: Engines) -> None:
    engines["llama"].script = Script(words=2, word="<img src=x onerror=alert(1)> [go](javascript:alert(1)) ```js\nlet a\n``` ")
    page = visit("llama")
    say(page, "<b>bold</b>")
    done(page)
    assert page.locator(".talk img, .talk a").count() == 0
    expect(page.locator(".me")).to_have_text("<b>bold</b>")


def test_the_talk_is_copied_exported_cleared_and_brought_back(visit: Visit, engines: Engines) -> None:
    page = visit("qwen", "llama")
    say(page)
    done(page, 2)
    with page.expect_download() as download:
        page.click("#export")
    told = json.loads(Path(download.value.path()).read_text())
    assert [answer["model"] for answer in told["turns"][0]["answers"]] == ["qwen", "llama"]
    assert told["turns"][0]["answers"][0]["usage"]["completion_tokens"] == 5
    page.click("#copy-talk")
    assert "**llama**\n\nword0" in page.evaluate("navigator.clipboard.readText()")
    page.click("#clear")
    expect(page.locator(".said")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".said")).to_have_count(2)


def test_code_says_the_same_call(visit: Visit, engines: Engines) -> None:
    page = visit("qwen", "llama")
    page.fill("#say", "It's \"urgent\"")
    page.click("#show-code")
    code = page.locator("#code-text")
    expect(code).to_contain_text(f"curl -N {settings.PORTAL_URL}/v1/chat/completions")
    expect(code).to_contain_text("$PORTAL_API_KEY")
    expect(code).to_contain_text("It'\\''s \\\"urgent\\\"")
    page.locator("#code-model").select_option("llama")
    page.get_by_role("button", name="Python").click()
    expect(code).to_contain_text('model="llama"')
    compile(code.inner_text(), "code", "exec")
    shot(page, "playground-code")
    page.get_by_role("button", name="JavaScript").click()
    expect(code).to_contain_text("for await (const chunk of stream)")


def test_images_go_only_to_models_that_take_them(visit: Visit, engines: Engines) -> None:
    page = visit("llama")
    expect(page.locator("#attach")).to_be_hidden()
    page = visit("qwen", "llama")
    expect(page.locator("#attach")).to_be_visible()
    page.set_input_files("#files", Path(__file__).parents[2] / "docs" / "images" / PICTURE)
    expect(page.locator("#pictures canvas")).to_have_count(1)
    say(page, "What is this?")
    done(page, 2)
    parts = body_of(engines["qwen"])["messages"][0]["content"]
    assert parts[1]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert body_of(engines["llama"])["messages"][0]["content"] == "What is this?"
    expect(page.locator(".columns .talk").nth(1)).to_contain_text("This model takes no images")


PICTURE = next(path.name for path in sorted((Path(__file__).parents[2] / "docs" / "images").glob("*.png")))


def test_embeddings_are_compared(visit: Visit, engines: Engines) -> None:
    vectors = ([1, 0, 0.2], [0.9, 0.1, 0.3], [0, 1, 0])
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    told = {"data": data, "usage": {"prompt_tokens": 15, "total_tokens": 15}}
    engines["embed"].script = Script(body=json.dumps(told).encode())
    page = visit("embed", tried="embeddings")
    page.fill("#lines", "only one")
    page.click("#send")
    expect(page.locator("#lines-error")).to_contain_text("two to ten")
    page.fill("#lines", "The invoice is wrong\nMy bill has a mistake\nThe lift is out of order")
    page.click("#send")
    expect(page.locator("#answer table td.n")).to_have_count(9)
    expect(page.locator("#answer")).to_contain_text("Closest: 1 and 2, 0.99.")
    expect(page.locator("#dimensions")).to_have_text("3")
    assert len(body_of(engines["embed"])["input"]) == 3
    shot(page, "playground-embeddings")


@pytest.mark.parametrize("tried", ["rerank", "score"])
def test_documents_are_ordered(visit: Visit, engines: Engines, tried: str) -> None:
    scores = [0.21, 0.02, 0.93]
    answers = {"rerank": {"results": [{"index": index, "relevance_score": score} for index, score in enumerate(scores)]},
               "score": {"data": [{"index": index, "score": score} for index, score in enumerate(scores)]}}
    engines["rank"].script = Script(body=json.dumps({**answers[tried], "usage": {"total_tokens": 40}}).encode())
    page = visit("rank", tried=tried)
    page.click("#send")
    expect(page.locator("#answer li")).to_have_count(3)
    expect(page.locator("#answer")).to_contain_text("Best: document 3, 0.93.")
    order = ["Document 3", "Document 1", "Document 2"] if tried == "rerank" else ["Document 1", "Document 2", "Document 3"]
    assert [one.split("\n")[0] for one in page.locator("#answer li").all_inner_texts()] == order
    expect(page.locator("#total")).to_have_text("40")
    shot(page, f"playground-{tried}")


@pytest.mark.parametrize("looks", [
    {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
    {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark", "locale": "ko-KR"},
    {"viewport": {"width": 1800, "height": 1000}, "locale": "zh-CN"}])
def test_every_screen_has_room_for_it(visit: Visit, engines: Engines) -> None:
    code = "```python\nprint('a very long line that does not fit into the screen')\n```\n"
    engines["qwen"].script = Script(words=3, word=f"- item `code`\n\n{code}")
    page = visit("qwen", "llama")
    say(page)
    expect(page.locator(".columns .status.is-good")).to_have_count(2)
    assert check_with_axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    shot(page, f"playground-{page.viewport_size['width']}")  # type: ignore[index]  # set above

