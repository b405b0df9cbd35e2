"""Files that a body asks the engine to fetch (threat T40).

An engine opens `image_url` and its like wherever they lead: to a cloud's metadata, to a neighbour, to its own disk. So
a file comes in the body, as a `data:` URL, or from a host that the operator has named.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

import environ

from .errors import bad_body

# From which hosts engines may fetch files, over https; ".x.org" is any below x.org.
_env = environ.Env()
HOSTS = tuple(_env.list("PORTAL_GATEWAY_MEDIA_HOSTS", default=[]))

# A text under these is an address: of OpenAI's and Anthropic's parts, and of SGLang's inputs for embeddings.
_ADDRESSES = frozenset({"image_url", "audio_url", "video_url", "file_url", "image", "audio", "video"})
# An object under these has the address as its `url`, or the file itself as its `data`.
_HOLDERS = _ADDRESSES | {"source", "input_audio"}
# With these an engine is told to call another engine; routers between engines say that, callers never.
_PEERS = frozenset({"kv_transfer_params", "ec_transfer_params", "bootstrap_host", "bootstrap_port", "bootstrap_room"})
KEYS = _HOLDERS | _PEERS
# What is said about tools and tags is not fetched; nor is what a model said to a tool (`input` of Anthropic's parts).
_SAID = frozenset({"tools", "functions", "metadata", "response_format"})
_URL = re.compile(r"https://([a-z0-9][a-z0-9.-]*)(?::443)?(?:/[\x21-\x5b\x5d-\x7e]*)?")


def check(body: dict[str, Any], hosts: Collection[str]) -> int:
    """How many bytes of the body are files. Raises GatewayError 422 for a file that is neither there nor at `hosts`."""
    if not _PEERS.isdisjoint(body):
        raise bad_body("The body has fields that only engines send each other.", param=min(_PEERS & body.keys()),
                       code="not_permitted", status=422)
    size = 0
    for key, holder in _holders({name: value for name, value in body.items() if name not in _SAID}):
        url, data = _file_of(key, holder)
        size += len(url) + len(data)
        if url and not url.startswith("data:") and not _is_permitted(url, hosts):
            raise bad_body(f"“{key}” must be a data: URL with the file in it; engines here fetch nothing from other "
                           "addresses.", param=key, code="media_url_not_permitted", status=422)
    return size


def _holders(tree: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What stands under the keys that lead to files, wherever that is."""
    rest: list[Any] = [tree]
    while rest:
        node = rest.pop()
        if type(node) is list:
            rest += node
        elif type(node) is dict:
            for key, value in node.items():
                if key in _HOLDERS:
                    yield from ((key, one) for one in (value if type(value) is list else [value]))
                if key != "input" or node.get("type") != "tool_use":
                    rest.append(value)


def _file_of(key: str, holder: Any) -> tuple[str, str]:
    """The address and the data in it, or "" for each."""
    if type(holder) is dict:
        url, data = holder.get("url"), holder.get("data")
        return url if type(url) is str else "", data if type(data) is str else ""
    return (holder if type(holder) is str and key in _ADDRESSES else ""), ""


def _is_permitted(url: str, hosts: Collection[str]) -> bool:
    found = _URL.fullmatch(url)
    return found is not None and any(
        found[1] == host or (host.startswith(".") and found[1].endswith(host)) for host in hosts)
