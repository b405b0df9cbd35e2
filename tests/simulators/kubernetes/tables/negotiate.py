"""Which form of an answer the Accept header asks for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tests.simulators.kubernetes.errors import ApiError

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
MEDIA = {JSON: JSON, YAML: YAML, "*/*": JSON, "application/*": JSON}
KNOWN = f"{JSON}, {YAML}, {PROTOBUF}"
SHAPES = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


@dataclass(frozen=True, slots=True)
class Form:
    media: str = JSON
    shape: str = ""
    """One of `SHAPES`, or "" for the object itself."""
    version: str = "v1"


class OnlyProtobuf(Exception):
    """The client takes nothing but protobuf, which is not spoken here."""


@lru_cache(maxsize=500)
def negotiate(accept: str, *, builtin: bool = False) -> Form:
    """The first form in an Accept header that can be served.

    :raises ApiError: 406, none can.
    :raises OnlyProtobuf: the 406 has to be in protobuf.
    """
    clauses = [_clause(each) for each in accept.split(",") if each.strip()] or [(JSON, {})]
    for media, parameters in clauses:
        shape = parameters.get("as", "")
        if media not in MEDIA or (shape and not _is_known(shape, parameters)):
            continue
        return Form(MEDIA[media], shape, parameters.get("v", "v1") if shape else "v1")
    if all(media == PROTOBUF for media, _ in clauses):
        raise OnlyProtobuf
    if builtin and not any(media in MEDIA for media, _ in clauses):
        text = f"406: Not Acceptable\n\nAvailable representations: {KNOWN}"
        raise ApiError(406, "NotAcceptable", text, {})
    raise ApiError(406, "NotAcceptable", f"only the following media types are accepted: {KNOWN}")


def acceptable(accept: str) -> Form:
    """For answers that have one form only: JSON or YAML, and JSON for whoever takes neither."""
    try:
        form = negotiate(accept)
    except (ApiError, OnlyProtobuf):
        return Form()
    return Form(form.media)


def _clause(text: str) -> tuple[str, dict[str, str]]:
    media, *parts = (part.strip() for part in text.split(";"))
    return media.lower(), dict(part.partition("=")[::2] for part in parts)


def _is_known(shape: str, parameters: dict[str, str]) -> bool:
    return shape in SHAPES and parameters.get("g") == "meta.k8s.io" and parameters.get("v") in ("v1", "v1beta1")
