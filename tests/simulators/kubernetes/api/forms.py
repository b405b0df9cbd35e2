"""Answers in the form that the client accepts: JSON, YAML, tables, metadata alone."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tests.simulators.kubernetes import tables
from tests.simulators.kubernetes.api.answers import Answer, encode, json_answer
from tests.simulators.kubernetes.api.lists import Page
from tests.simulators.kubernetes.api.request import Request
from tests.simulators.kubernetes.errors import ApiError
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.store import Object

_items: dict[tuple[str, str], tuple[Object, msgspec.Raw]] = {}
"""The JSON of items of lists, by uid and version, as long as the object is the same."""
MOST_ITEMS = 50_000


def item(res: Resource, obj: Object) -> msgspec.Raw:
    """An object within a list: the built-in kinds leave out what it is there."""
    key = (obj["metadata"].get("uid", ""), res.api_version)
    known = _items.get(key)
    if known is not None and known[0] is obj:
        return known[1]
    found = msgspec.Raw(encode(_within(res, obj)))
    if len(_items) > MOST_ITEMS:
        _items.clear()
    _items[key] = (obj, found)
    return found


def _within(res: Resource, obj: Object) -> Object:
    return obj if res.custom else {name: value for name, value in obj.items() if name not in ("apiVersion", "kind")}


def choose(request: Request, res: Resource) -> tables.Form:
    """
    :raises ApiError: 406, the client accepts nothing that can be served.
    :raises OnlyProtobuf: likewise, and it is to be told in protobuf.
    """
    accept = request.headers.get("accept", "").replace("\0", ",")
    return tables.negotiate(accept, builtin=not res.custom)


def list_answer(request: Request, res: Resource, page: Page) -> Answer:
    form = choose(request, res)
    body: Object = {"kind": res.kind_of_list, "apiVersion": res.api_version, "metadata": page.metadata(res)}
    if form == tables.Form():
        return json_answer({**body, "items": [item(res, each) for each in page.items]})
    if form.shape:
        return _answer(form, tables.as_form(form, res, {**body, "items": page.items}, request.one("includeObject")))
    return _answer(form, {**body, "items": [_within(res, each) for each in page.items]})


def object_answer(
    request: Request, res: Resource, obj: Object, status: int = 200, warnings: list[str] | None = None
) -> Answer:
    form = choose(request, res)
    answer = _answer(form, tables.as_form(form, res, obj, request.one("includeObject")), status)
    answer.warnings = warnings or []
    return answer


def error_answer(request: Request, error: ApiError) -> Answer:
    """A refusal, in YAML for who asked for that."""
    answer = _answer(tables.acceptable(request.headers.get("accept", "")), error.body(), error.status)
    answer.headers |= error.headers
    answer.warnings = error.warnings
    return answer


def _answer(form: tables.Form, body: Object, status: int = 200) -> Answer:
    if form.media == "application/yaml":
        return Answer(status, tables.to_yaml(body), form.media)
    return json_answer(body, status)


def encoder(request: Request, res: Resource) -> Callable[[str, Object, bool], bytes]:
    """Makes the lines of a watch.

    :raises ApiError, OnlyProtobuf: as `choose`.
    """
    form, include = choose(request, res), request.one("includeObject")

    def line(type_: str, obj: Object, first: bool) -> bytes:
        if type_ not in ("ERROR", "BOOKMARK") or (form.shape == "Table" and type_ == "BOOKMARK"):
            obj = tables.as_event(form, res, obj, include, first=first)
        return encode({"type": type_, "object": obj}) + b"\n"

    return line
