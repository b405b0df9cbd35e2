"""Goes through the portal as a browser would: every page, every piece that a script asks for, every file, by its links."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from django.test import Client

LEADING = {"href", "src", "hx-get", "data-stream", "data-figures", "data-list", "data-live", "data-url", "action"}
PIECE = {"HX-Request": "true"}


@dataclass
class Links(HTMLParser):
    """The addresses that a page leads to, and the names that its links and its forms put into them."""

    found: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    is_sent: bool = True

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.is_sent = given.get("method", "get").lower() != "post" or "hx-get" in given
            if not self.is_sent:
                given.pop("action", None)
        self.found.update(value for name, value in given.items() if name in LEADING)
        if tag in ("input", "select", "textarea") and "name" in given and self.is_sent:
            self.names.add(given["name"])

    def handle_endtag(self, tag: str) -> None:
        self.is_sent |= tag == "form"


@dataclass(frozen=True)
class Seen:
    """One answer. `text` is its headers and its body as somebody reads them, whatever the format."""

    path: str
    status: int
    text: str
    names: frozenset[str]


def text_of(answer: Any) -> str:
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    if body[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(body)) as book:
            body = b"\n".join(book.read(name) for name in book.namelist())
    return "\n".join(f"{name}: {value}" for name, value in answer.items()) + "\n\n" + body.decode(errors="replace")


def crawl(
    client: Client, begin: Iterable[str], within: tuple[str, ...], *, forms: tuple[dict[str, str], ...] = ({}, PIECE),
    queries: int = 12, most: int = 800,
) -> Iterator[Seen]:
    """Everything that can be reached by GET from `begin` without leaving `within`, each page also as the piece of a page.

    Of addresses that differ in their query only, `queries` at most.
    """
    todo, known, siblings = list(begin), set(begin), dict[str, int]()
    for path in todo:
        for headers in forms:
            answer = client.get(path, headers=headers)
            said, links = text_of(answer), Links()
            if "html" in answer.get("Content-Type", ""):
                links.feed(said)
            links.found.add(answer.get("Location", ""))
            links.names.update(name for link in links.found for name, _value in parse_qsl(urlsplit(link).query))
            yield Seen(path, answer.status_code, said, frozenset(links.names))
            for link in sorted(links.found):
                parts = urlsplit(urljoin(f"http://testserver{path}", link))
                where = f"{parts.path}?{parts.query}".removesuffix("?")
                siblings[parts.path] = siblings.get(parts.path, 0) + (where not in known)
                is_ours = parts.netloc == "testserver" and parts.path.startswith(within)
                if is_ours and where not in known and siblings[parts.path] <= queries and len(todo) < most:
                    known.add(where)
                    todo.append(where)


def with_parameter(path: str, name: str, value: str) -> str:
    parts = urlsplit(path)
    query = [(each, said) for each, said in parse_qsl(parts.query) if each != name]
    return f"{parts.path}?{urlencode([*query, (name, value)])}"
