"""Reading the usage that an engine reports, from a whole answer or from the events of a stream as they pass.

Usages are those of vLLM, SGLang and the OpenAI and Anthropic documents. Anthropic's `input_tokens` leaves out what was
read from a cache or written into it; the others count that as part of the prompt, and so do we.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from .limits import Usage

TAIL_BYTES = 4096
MAX_EVENT_BYTES = 1024 * 1024
GAPS = (b"\n\n", b"\r\n\r\n")  # what ends an event

_Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]  # an engine that says more is not believed


class _Details(msgspec.Struct):
    cached_tokens: _Count | None = 0


class _Tokens(msgspec.Struct):
    prompt_tokens: _Count = 0
    completion_tokens: _Count | None = 0
    total_tokens: _Count = 0
    input_tokens: _Count = 0
    output_tokens: _Count = 0
    cache_read_input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None

    def usage(self) -> Usage:
        new = (self.completion_tokens or 0) + self.output_tokens
        cached = self.cache_read_input_tokens or 0
        prompt = self.prompt_tokens + self.input_tokens + cached + (self.cache_creation_input_tokens or 0)
        details = self.prompt_tokens_details or self.input_tokens_details
        if details is not None:
            cached = details.cached_tokens or 0
        return Usage(prompt or max(0, self.total_tokens - new), new, cached)


class _Inner(msgspec.Struct):
    usage: _Tokens | None = None


class _Answer(msgspec.Struct):
    usage: _Tokens | None = None
    choices: list[msgspec.Raw] | None = None
    response: _Inner | None = None  # around the usage in /v1/responses' last event
    message: _Inner | None = None  # and in Anthropic's first

    def tokens(self) -> _Tokens | None:
        inner = self.response or self.message
        return self.usage or (inner.usage if inner else None)


_whole = msgspec.json.Decoder(_Inner).decode
_answer = msgspec.json.Decoder(_Answer).decode
_tokens = msgspec.json.Decoder(_Tokens).decode


def usage_of(body: bytes) -> Usage:
    """Tokens of a whole answer; nothing, marked partial, where it does not say."""
    try:
        tokens = _whole(body).usage
    except (msgspec.DecodeError, UnicodeDecodeError):
        tokens = None
    return tokens.usage() if tokens else Usage(is_partial=True)


def usage_in_tail(tail: bytes) -> Usage:
    """Tokens from the last bytes of an answer too long to keep."""
    start = tail.find(b"{", max(0, tail.rfind(b'"usage"')))
    for end in _closings(tail, start):
        try:
            return _tokens(tail[start:end]).usage()
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return Usage(is_partial=True)


def _closings(tail: bytes, start: int) -> list[int]:
    """Where the object that opens at `start` may end, first place first."""
    found: list[int] = []
    at = start
    while start >= 0 and len(found) < 8 and (at := tail.find(b"}", at)) >= 0:
        at += 1
        found.append(at)
    return found


@dataclass(frozen=True, slots=True)
class Events:
    """A kind of event stream."""

    token: bytes  # stands once in each event with new text
    token_crlf: bytes  # the same where lines end with CR LF
    words: tuple[bytes, ...]  # one of these is in the last event of a complete stream
    end: re.Pattern[bytes]  # and so begins no other


CHUNKS = Events(b"\n\n", b"\r\n\r\n", (b"[DONE]",), re.compile(rb"data: ?\[DONE\]\Z"))
RESPONSES = Events(b".delta\n", b".delta\r\n", (b"response.completed", b"response.incomplete", b"response.failed"), re.compile(
    rb'(?:event: ?|data: ?\{"type": ?")response\.(?:completed|incomplete|failed)\b'))
MESSAGES = Events(b"content_block_delta\n", b"content_block_delta\r\n", (b"message_stop",), re.compile(
    rb'(?:event: ?|data: ?\{"type": ?")message_stop\b'))


class StreamTap:
    """Passes events on untouched, one whole event at a time, and keeps the last usage.

    `hide_usage` takes out the chunk that has usage and nothing else: the gateway asked for it, the caller did not.
    `tokens` counts the events with new text so far; `has_ended` tells that the last event of all has come by.
    """

    __slots__ = ("_events", "_held", "_hide_usage", "_tokens_then", "_usage", "has_ended", "tokens")

    def __init__(self, events: Events = CHUNKS, *, hide_usage: bool = False) -> None:
        self._events = events
        self._hide_usage = hide_usage
        self._held = b""
        self._usage: Usage | None = None
        self._tokens_then = 0  # `tokens` when the usage came
        self.tokens = 0
        self.has_ended = False

    @property
    def usage(self) -> Usage:
        """What the engine said; where it did not come to that, one token for each event with text that came by."""
        said = self._usage or Usage()
        if self._usage is not None and self.has_ended:
            return said
        since = self.tokens - self._tokens_then
        return Usage(said.prompt_tokens, said.completion_tokens + since, said.cached_tokens, is_partial=True)

    def feed(self, data: bytes) -> bytes:
        """The whole events in what has come so far; the rest is held back until its end is there."""
        if self._held:
            data = self._held + data
            self._held = b""
        if not data.endswith(GAPS):
            data = self._hold(data)
            if not data:
                return data
        for word in self._events.words:
            if word in data:
                self.has_ended = self._ends(data)
        self.tokens += data.count(self._events.token) or data.count(self._events.token_crlf)
        if b'"usage"' in data:
            return self._without_usage(data)
        return data

    def _hold(self, data: bytes) -> bytes:
        end = max((at + len(gap) for gap in GAPS if (at := data.rfind(gap)) >= 0), default=0)
        if len(data) - end > MAX_EVENT_BYTES:
            return data
        self._held = data[end:]
        return data[:end]

    def _ends(self, data: bytes) -> bool:
        """Whether the last event in `data` is the last of all. A search through all of it would cost too much."""
        data = data.rstrip()
        start = max(at + len(gap) if (at := data.rfind(gap)) >= 0 else 0 for gap in GAPS)
        return self._events.end.match(data, start) is not None

    def _without_usage(self, data: bytes) -> bytes:
        gap = b"\r\n\r\n" if data.endswith(b"\r\n\r\n") else b"\n\n"
        kept: list[Any] = []
        for event in data.split(gap):
            if b'"usage"' in event and self._note(event) and self._hide_usage:
                continue
            kept.append(event)
        return gap.join(kept)

    def _note(self, event: bytes) -> bool:
        """Keep the usage of this event; whether it has nothing else."""
        line = next((line for line in event.splitlines() if line.startswith(b"data:")), b"")
        try:
            answer = _answer(line[5:])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        tokens = answer.tokens()
        if tokens is None:
            return False
        said, before = tokens.usage(), self._usage
        if before is not None and not said.prompt_tokens:  # Anthropic's last event may tell the new tokens only
            said.prompt_tokens, said.cached_tokens = before.prompt_tokens, before.cached_tokens
        self._usage, self._tokens_then = said, self.tokens
        return answer.choices == []
