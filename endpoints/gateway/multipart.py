"""Forms with a file (multipart/form-data, RFC 7578), read strictly and written again.

Readers of forms disagree about folded headers, odd quotes, repeated names and `name*`. What they could disagree about is
refused, and the engine gets a form that this module wrote: its own boundary, and headers of its own making.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from .body import Fields
from .errors import GatewayError, bad_body

MAX_PARTS = 64
MAX_VALUE_BYTES = 64 * 1024
MAX_HEAD_BYTES = 1024

_TYPE = re.compile(rb'\s*multipart/form-data\s*;\s*boundary=(?:"([^"\\]{1,70})"|([^\s";,]{1,70}))\s*\Z', re.IGNORECASE)
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]\Z")
_DISPOSITION = re.compile(rb'form-data; *name="([A-Za-z0-9_.-]{1,64}(?:\[\])?)"(?:; *filename="([^"\r\n]{0,255})")?'
                          rb"(?:; *filename\*=[^\s;]{1,500})?\Z", re.IGNORECASE)
_FILE_TYPE = re.compile(rb"(?:audio|video)/[a-z0-9.+-]{1,40}\Z")
_ODD = re.compile(rb"[^A-Za-z0-9._-]")
_NUMBERS = ("max_completion_tokens", "n")
_SWITCHES = ("stream", "stream_include_usage")


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    value: bytes
    is_file: bool = False
    file_name: bytes = b""
    file_type: bytes = b""

    def lines(self, boundary: bytes) -> bytes:
        head = b'--%b\r\ncontent-disposition: form-data; name="%b"' % (boundary, self.name.encode())
        if self.is_file:
            head += b'; filename="%b"\r\ncontent-type: %b' % (self.file_name, self.file_type)
        return head + b"\r\n\r\n"


class Form:
    """A form with one file. `fields` are what the gateway reads, with their types; `put` changes them."""

    __slots__ = ("_boundary", "_parts", "fields")

    def __init__(self, raw: bytes, content_type: bytes) -> None:
        """Raises GatewayError 400 that names the fault, 415 where this is no form."""
        self._parts = _parts(raw, boundary_of(content_type))
        self._boundary = secrets.token_hex(16).encode()
        self.fields: Fields = {}
        for part in self._parts:
            if not part.is_file and not part.name.endswith("[]"):
                self.fields[part.name] = _typed(part)

    @property
    def content_type(self) -> bytes:
        return b"multipart/form-data; boundary=" + self._boundary

    @property
    def text_bytes(self) -> int:
        """Of the fields without the file."""
        return sum([len(part.value) for part in self._parts if not part.is_file])

    def put(self, name: str, value: object) -> None:
        self.fields[name] = value
        text = str(value).lower() if isinstance(value, bool) else str(value)
        self._parts = [part for part in self._parts if part.name != name] + [Part(name, text.encode())]

    def for_engine(self, model: str) -> bytes:
        """The form for an engine that calls itself `model`."""
        if self.fields["model"] != model:
            self.put("model", model)
        pieces = [piece for part in self._parts for piece in (part.lines(self._boundary), part.value, b"\r\n")]
        return b"".join([*pieces, b"--%b--\r\n" % self._boundary])


def boundary_of(content_type: bytes) -> bytes:
    """Raises GatewayError 415 where this is not the type of a form."""
    found = _TYPE.match(content_type)
    boundary = (found[1] or found[2]) if found else b""
    if not _BOUNDARY.match(boundary):
        raise bad_body("The content type must be multipart/form-data with a boundary.", status=415,
                       code="unsupported_media_type")
    return boundary


def _parts(raw: bytes, boundary: bytes) -> list[Part]:
    """What stands between the boundaries; nothing may stand before the first, and only a line end after the last."""
    start, line, end = b"--%b\r\n" % boundary, b"\r\n--%b\r\n" % boundary, b"\r\n--%b--" % boundary
    last = raw.find(end)
    if not raw.startswith(start) or last < 0 or raw[last + len(end):] not in (b"", b"\r\n"):
        raise _bad("its boundaries are not where they should be")
    texts = raw[len(start):last].split(line, MAX_PARTS)
    if len(texts) > MAX_PARTS:
        raise _bad(f"it has more than {MAX_PARTS} fields")
    parts = [_part(text) for text in texts]
    names = [part.name for part in parts if not part.name.endswith("[]")]
    if len(set(names)) != len(names):
        raise bad_body("The form has the same field twice.", code="duplicate_key")
    if [part.name for part in parts if part.is_file] != ["file"]:
        raise bad_body("The form must have one file, in the field “file”.", param="file")
    return parts


def _part(text: bytes) -> Part:
    head, gap, value = text.partition(b"\r\n\r\n")
    headers = _headers(head) if gap and len(head) <= MAX_HEAD_BYTES else {}
    found = _DISPOSITION.match(headers.get(b"content-disposition", b""))
    if found is None or b"content-transfer-encoding" in headers:
        raise _bad("the headers of a field can't be read")
    name = found[1].decode()
    if found[2] is not None:
        kind = headers.get(b"content-type", b"").lower()
        return Part(name, value, True, _ODD.sub(b"_", found[2]).lstrip(b".") or b"file",
                    kind if _FILE_TYPE.match(kind) else b"application/octet-stream")
    if len(value) > MAX_VALUE_BYTES:
        raise bad_body(f"“{name}” is too long.", param=name)
    return Part(name, value)


def _headers(head: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or not name.replace(b"-", b"").isalnum() or name in found or b"\n" in value or b"\r" in value:
            raise _bad("the headers of a field can't be read")
        found[name] = value.strip(b" \t")
    return found


def _typed(part: Part) -> object:
    """The value as JSON would have it. Raises GatewayError 400 where it is none of its kind."""
    try:
        text = part.value.decode()
    except UnicodeDecodeError:
        raise bad_body(f"“{part.name}” is not UTF-8.", param=part.name) from None
    if part.name in _SWITCHES:
        known = {"true": True, "1": True, "false": False, "0": False, "": False}.get(text.lower())
        if known is None:
            raise bad_body(f"“{part.name}” must be true or false.", param=part.name)
        return known
    if part.name in _NUMBERS:
        if not re.fullmatch("-?[0-9]{1,18}", text):
            raise bad_body(f"“{part.name}” must be a whole number.", param=part.name)
        return int(text)
    return text


def _bad(why: str) -> GatewayError:
    return bad_body(f"The body is not a good form: {why}.", code="invalid_form")
