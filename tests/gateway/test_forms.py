"""Forms with a file: what is refused, and what the engine gets."""

from __future__ import annotations

import json
from email import message_from_bytes
from email.policy import HTTP
from typing import Any

import pytest

from endpoints.gateway.body import check_fields
from endpoints.gateway.errors import GatewayError
from endpoints.gateway.multipart import MAX_PARTS, Form

SOUND = b"RIFF\r\n--x\r\n\x00\xff" * 50
TYPE = b"multipart/form-data; boundary=x-1"


def field(name: str, value: bytes | str, more: str = "") -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return f'--x-1\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + raw + b"\r\n"


FILE = field("file", SOUND, '; filename="a.wav"\r\nContent-Type: audio/wav')
MODEL = field("model", "m")
END = b"--x-1--\r\n"


def parts_of(form: Form, model: str = "m") -> list[tuple[str, str | None, str, bytes]]:
    """Name, file name, type and value of each part, as a reader that isn't ours sees them."""
    head = b"content-type: " + form.content_type + b"\r\n\r\n"
    message: Any = message_from_bytes(head + form.for_engine(model), policy=HTTP)
    return [(part.get_param("name", header="content-disposition"), part.get_filename(), part.get_content_type(),
             part.get_payload(decode=True)) for part in message.iter_parts()]


def test_the_engine_gets_the_fields_and_the_file_as_they_were() -> None:
    form = Form(FILE + MODEL + field("language", "fr") + field("timestamp_granularities[]", "word")
                + field("timestamp_granularities[]", "segment") + END, TYPE)
    assert check_fields(form.fields) == "m"
    found = parts_of(form)
    assert [(name, file_name) for name, file_name, _kind, _value in found] == [
        ("file", "a.wav"), ("model", None), ("language", None), ("timestamp_granularities[]", None),
        ("timestamp_granularities[]", None)]
    assert (found[0][2], found[0][3]) == ("audio/wav", SOUND)
    assert [value for *_rest, value in found[1:]] == [b"m", b"fr", b"word", b"segment"]


def test_the_model_is_renamed_and_a_field_can_be_put() -> None:
    form = Form(MODEL + FILE + field("stream", "true") + END, TYPE)
    assert form.fields["stream"] is True
    form.put("stream_include_usage", True)
    found = {name: value for name, _file, _kind, value in parts_of(form, "engine/name")}
    assert (found["model"], found["stream_include_usage"]) == (b"engine/name", b"true")
    assert b"x-1" not in form.for_engine("m").replace(SOUND, b""), "the boundary is the gateway's own"


def test_the_file_does_not_count_as_text() -> None:
    assert Form(MODEL + FILE + field("prompt", "abc") + END, TYPE).text_bytes == 4


@pytest.mark.parametrize(("given", "seen"), [
    ("../../etc/passwd", "_.._etc_passwd"), (".hidden", "hidden"), ("a b.mp3", "a_b.mp3"), ("ä.wav", "__.wav"), ("", "file"),
])
def test_a_file_name_is_only_a_name(given: str, seen: str) -> None:
    form = Form(MODEL + field("file", b"x", f'; filename="{given}"') + END, TYPE)
    assert parts_of(form)[1][1:] == (seen, "application/octet-stream", b"x")


BAD = {
    "no end": (MODEL + FILE, "invalid_form"),
    "text before": (b"hello\r\n" + MODEL + FILE + END, "invalid_form"),
    "text after": (MODEL + FILE + END + b"more", "invalid_form"),
    "two ends": (MODEL + FILE + END + MODEL + END, "invalid_form"),
    "bare line feeds": ((MODEL + FILE + END).replace(b"\r\n", b"\n"), "invalid_form"),
    "no headers": (b"--x-1\r\n\r\nvalue\r\n" + MODEL + FILE + END, "invalid_form"),
    "model twice": (MODEL + MODEL + FILE + END, "duplicate_key"),
    "stream twice": (MODEL + FILE + field("stream", "false") + field("stream", "true") + END, "duplicate_key"),
    "no file": (MODEL + END, "invalid_body"),
    "the file as a text": (MODEL + field("file", "x") + END, "invalid_body"),
    "two files": (MODEL + FILE + field("other", b"x", '; filename="b"') + END, "invalid_body"),
    "the model as a file": (field("model", "m", '; filename="m"') + FILE + END, "invalid_body"),
    "a folded header": (field("model", "m", ";\r\n filename=x") + FILE + END, "invalid_form"),
    "a name with a quote": (field('model\\"', "m") + FILE + END, "invalid_form"),
    "two dispositions": (field("x", "m", '\r\nContent-Disposition: form-data; name="model"') + FILE + END, "invalid_form"),
    "an encoding": (field("model", "m", "\r\nContent-Transfer-Encoding: base64") + FILE + END, "invalid_form"),
    "many fields": (MODEL + FILE + b"".join(field(f"f{n}", "") for n in range(MAX_PARTS)) + END, "invalid_form"),
    "a long field": (MODEL + FILE + field("prompt", "x" * 70_000) + END, "invalid_body"),
    "not UTF-8": (MODEL + FILE + field("prompt", b"\xff") + END, "invalid_body"),
    "stream as a word": (MODEL + FILE + field("stream", "maybe") + END, "invalid_body"),
    "many as a word": (MODEL + FILE + field("max_completion_tokens", "1e3") + END, "invalid_body"),
    "empty": (b"", "invalid_form"), "only an end": (END, "invalid_form"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_form_is_refused_by_name(name: str) -> None:
    raw, code = BAD[name]
    with pytest.raises(GatewayError) as refusal:
        Form(raw, TYPE)
    assert (refusal.value.status, refusal.value.code) == (400, code)
    assert json.loads(refusal.value.body())["error"]["code"] == code


@pytest.mark.parametrize("content_type", [
    b"", b"application/json", b"multipart/form-data", b"multipart/form-data; boundary=", b"multipart/mixed; boundary=x-1",
    b"multipart/form-data; boundary=x-1; boundary=y", b'multipart/form-data; boundary="a\\"b"',
    b"multipart/form-data; boundary=" + b"x" * 71, b"multipart/form-data; boundary=x-1; charset=utf-16",
])
def test_another_content_type_is_refused(content_type: bytes) -> None:
    with pytest.raises(GatewayError) as refusal:
        Form(MODEL + FILE + END, content_type)
    assert refusal.value.status == 415


def test_a_quoted_boundary_is_read() -> None:
    assert Form(MODEL + FILE + END, b'Multipart/Form-Data; Boundary="x-1"').fields["model"] == "m"
