"""Files that a body names: those in it pass, those that the engine would fetch do not (T40)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from endpoints.gateway.body import Body
from endpoints.gateway.errors import GatewayError

INLINE = "data:image/png;base64,iVBORw0KGgo="
BAD_URLS = [
    "http://169.254.169.254/latest/meta-data/", "https://example.com/a.png", "file:///etc/passwd", "/etc/passwd",
    "HTTPS://example.com", "ftp://x/y", "//example.com/a.png", " data:image/png;base64,aa", "s3://bucket/key",
]


def part(kind: str, url: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": kind, kind: url}]}]}


PLACES: dict[str, Any] = {
    "an image": lambda url: part("image_url", {"url": url}),
    "an image, short": lambda url: part("image_url", url),
    "a sound": lambda url: part("audio_url", {"url": url}),
    "a film": lambda url: part("video_url", {"url": url}),
    "a part without a type": lambda url: {"messages": [{"content": [{"image_url": url, "uuid": "u"}]}]},
    "Anthropic's source": lambda url: {"messages": [{"content": [{"type": "image", "source": {
        "type": "url", "url": url}}]}]},
    "a tool's result": lambda url: {"messages": [{"content": [{"type": "tool_result", "content": [
        {"type": "image", "source": {"type": "url", "url": url}}]}]}]},
    "/v1/responses": lambda url: {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]},
    "a document to rank": lambda url: {"documents": [{"content": [{"type": "image_url", "image_url": {"url": url}}]}]},
    "SGLang's embeddings": lambda url: {"input": [{"text": "a", "image": url}]},
    "SGLang's, many": lambda url: {"input": [{"image": [INLINE, url]}]},
}


def refusal_of(body: dict[str, Any], *hosts: str) -> str:
    """Status and code of the refusal, "" where the body passes."""
    try:
        Body(msgspec.json.encode({"model": "m", **body}), hosts)
    except GatewayError as error:
        return f"{error.status} {error.code}"
    return ""


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("url", BAD_URLS)
def test_an_address_elsewhere_is_refused_wherever_it_stands(place: str, url: str) -> None:
    assert refusal_of(PLACES[place](url)) == "422 media_url_not_permitted"


@pytest.mark.parametrize("place", PLACES)
def test_a_file_in_the_body_passes(place: str) -> None:
    assert refusal_of(PLACES[place](INLINE)) == ""


@pytest.mark.parametrize("body", [
    {"messages": [{"role": "user", "content": "see https://example.com/a.png and image_url"}]},
    {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": '{"image_url":"https://a.b"}'}}]}]},
    {"messages": [{"role": "assistant", "content": [
        {"type": "tool_use", "id": "t", "name": "show", "input": {"image_url": "https://a.b", "url": "https://a.b"}}]}]},
    {"tools": [{"function": {"parameters": {"properties": {"image_url": {"type": "string", "examples": ["https://a.b"]},
                                                            "image": {"url": "https://a.b"}}}}}]},
    {"metadata": {"image": "https://a.b"}}, {"documents": [{"source": "https://a.b", "text": "x"}]},
    {"audio": {"voice": "alloy", "format": "wav"}}, {"url": "https://a.b"},
    {"messages": [{"content": [{"type": "input_audio", "input_audio": {"data": "UklGR", "format": "wav"}}]}]},
])
def test_what_is_only_said_about_an_address_passes(body: dict[str, Any]) -> None:
    assert refusal_of(body) == ""


def test_a_tool_that_is_no_tool_is_looked_into() -> None:
    image = {"type": "image_url", "image_url": {"url": "http://a.b"}}
    assert refusal_of({"messages": [{"content": [{"type": "text", "input": [image]}]}]}) == "422 media_url_not_permitted"
    assert refusal_of({"messages": [{"content": [{**image, "type": "tool_use"}]}]}) == "422 media_url_not_permitted"


@pytest.mark.parametrize(("url", "is_permitted"), [
    ("https://img.example.com/a.png?x=1", True), ("https://example.org/a", True), ("https://a.example.org/a", True),
    ("https://example.org:443/", True), ("http://img.example.com/a", False), ("https://example.com/a", False),
    ("https://img.example.com.evil.net/", False), ("https://evilexample.org/", False), ("https://example.org:8080/", False),
    ("https://example.org@evil.net/", False), ("https://evil.net\\@example.org/", False), ("https://EXAMPLE.org/", False),
    ("https://example.org/\n", False), ("https://example.org/a\\b", False), ("https://[::1]/", False),
    ("https://evil.net#.example.org/", False), ("https://evil.net/.example.org", False),
])
def test_an_operator_may_permit_hosts(url: str, is_permitted: bool) -> None:
    body = part("image_url", {"url": url})
    assert (refusal_of(body, "img.example.com", "example.org", ".example.org") == "") is is_permitted


@pytest.mark.parametrize("name", ["kv_transfer_params", "ec_transfer_params", "bootstrap_host", "bootstrap_room"])
def test_a_caller_cannot_send_an_engine_to_another_one(name: str) -> None:
    assert refusal_of({"messages": [], name: {"remote_host": "10.0.0.1"}}) == "422 not_permitted"


def test_files_do_not_count_as_text() -> None:
    raw = msgspec.json.encode({"model": "m", **part("image_url", {"url": "data:image/png;base64," + "A" * 100_000})})
    assert Body(raw).text_bytes < 200
