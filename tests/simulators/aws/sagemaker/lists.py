"""Lists: filters, order and pages, alike for everything that SageMaker lists."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from tests.simulators.aws.errors import invalid
from tests.simulators.aws.messages import Params

PAGE = 10  # the default of MaxResults, and the API reference's for most lists


def listed(asked: Params, things: Iterable[Any], *, order: str = "Descending") -> tuple[list[Any], Params]:
    """The page that is asked for, and {"NextToken": …} where more follow. order: by itself, newest first."""
    kept = [thing for thing in things if _wanted(asked, thing)]
    by = asked.get("SortBy", "CreationTime").replace("CREATION_TIME", "CreationTime").replace("NAME", "Name")
    keys = {"Name": lambda thing: (thing.name,), "Status": lambda thing: (getattr(thing, "status", ""), thing.name)}
    kept.sort(key=keys.get(by, lambda thing: (thing.created, thing.name)),
              reverse=asked.get("SortOrder", order) == "Descending")  # fmt: skip
    return page(asked, kept)


def page(asked: Params, kept: list[Any], size: int = PAGE) -> tuple[list[Any], Params]:
    """
    :raises AwsFault: a token that no list gave.
    """
    start = _start(asked.get("NextToken", ""))
    end = start + int(asked.get("MaxResults", size))
    return kept[start:end], ({"NextToken": _token(end)} if end < len(kept) else {})


def _token(position: int) -> str:
    return base64.b64encode(f"page:{position}".encode()).decode()


def _start(token: str) -> int:
    if not token:
        return 0
    try:
        word, _, position = base64.b64decode(token, validate=True).decode().partition(":")
        if word == "page":
            return int(position)
    except (binascii.Error, ValueError):
        pass
    raise invalid("Invalid NextToken")  # the words are not verified


def _wanted(asked: Params, thing: Any) -> bool:
    status, name = getattr(thing, "status", ""), asked.get("NameContains", "")
    return (
        name.lower() in thing.name.lower()
        and asked.get("StatusEquals", status) == status
        and asked.get("CreationTimeAfter", 0) <= thing.created <= asked.get("CreationTimeBefore", 1e12)
        and asked.get("LastModifiedTimeAfter", 0) <= thing.modified <= asked.get("LastModifiedTimeBefore", 1e12)
    )
