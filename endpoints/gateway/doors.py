"""The routes that lead to engines, and in what they differ.

Engines' routes are those of vLLM 0.32 and SGLang 0.5; /v1/audio/speech is vLLM-Omni's. What keeps answers for later
(GET /v1/responses/{id}, its cancel) is none of them: engines keep such answers in the memory of one replica and give
them to whoever knows the id.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ANTHROPIC, OPENAI, Shape
from .limits import Usage
from .tap import CHUNKS, MESSAGES, RESPONSES, Events, usage_of

JSON, EVENTS = b"application/json", b"text/event-stream"
AUDIO_BYTES = 26 * 1024 * 1024  # a file of 25 MiB, as much as engines take by default, and its form
TEXTS = frozenset({b"text/plain", b"text/vtt", b"application/x-subrip"})
SOUNDS = frozenset({b"application/octet-stream", *(b"audio/" + name for name in (
    b"mpeg", b"wav", b"x-wav", b"flac", b"aac", b"ogg", b"opus", b"webm", b"pcm", b"l16"))})


@dataclass(frozen=True, slots=True)
class Door:
    """A route to the engines."""

    number: int  # in the records of usage; never given to another route
    path: str
    engine_path: str
    events: Events = CHUNKS  # what its streams are
    shape: Shape = OPENAI  # of its errors
    usage_option: str = ""  # the field with which a stream is asked for its usage: "stream_options", or of a form
    is_form: bool = False  # multipart/form-data instead of JSON
    makes_tokens: bool = True  # the engine writes new tokens, as many as the caller lets it
    is_free: bool = False  # no model runs: it only counts or translates tokens
    keeps_nothing: bool = False  # the body is told not to store the answer
    kinds: frozenset[bytes] = frozenset()  # content types of good answers besides JSON and events

    @property
    def has_usage_option(self) -> bool:
        return bool(self.usage_option)

    def usage_of(self, body: bytes) -> Usage:
        """Tokens of a whole answer."""
        return Usage() if self.is_free else usage_of(body)

    def passes(self, kind: bytes) -> bool:
        """Whether a good answer may have this content type. Never a page: it would speak in the portal's name."""
        return kind in (JSON, EVENTS) or kind in self.kinds


def _same(number: int, path: str, **values: object) -> Door:
    return Door(number, path, path, **values)  # type: ignore[arg-type]  # fields of the dataclass, by name


OPTION = "stream_options"
FORM_OPTION = "stream_include_usage"  # vLLM's name for the same in a form

DOORS = {door.path: door for door in (
    _same(1, "/v1/chat/completions", usage_option=OPTION),
    _same(2, "/v1/completions", usage_option=OPTION),
    _same(3, "/v1/embeddings", makes_tokens=False),
    _same(4, "/v1/responses", events=RESPONSES, keeps_nothing=True),
    _same(5, "/v1/rerank", makes_tokens=False),
    Door(6, "/v2/rerank", "/v1/rerank", makes_tokens=False),
    Door(7, "/rerank", "/v1/rerank", makes_tokens=False),
    _same(8, "/v1/score", makes_tokens=False),
    Door(9, "/score", "/v1/score", makes_tokens=False),
    _same(10, "/v1/audio/transcriptions", usage_option=FORM_OPTION, is_form=True, kinds=TEXTS),
    _same(11, "/v1/audio/translations", usage_option=FORM_OPTION, is_form=True, kinds=TEXTS),
    _same(12, "/v1/messages", events=MESSAGES, shape=ANTHROPIC),
    _same(13, "/v1/messages/count_tokens", shape=ANTHROPIC, makes_tokens=False, is_free=True),
    Door(14, "/tokenize", "/tokenize", makes_tokens=False, is_free=True),
    Door(15, "/v1/tokenize", "/tokenize", makes_tokens=False, is_free=True),
    Door(16, "/detokenize", "/detokenize", makes_tokens=False, is_free=True),
    Door(17, "/v1/detokenize", "/detokenize", makes_tokens=False, is_free=True),
    _same(18, "/v1/audio/speech", makes_tokens=False, kinds=SOUNDS),
)}
