"""Reading the usage that an engine reports, from a whole answer or from the events of a stream as they pass."""

from __future__ import annotations

from typing import Any

import msgspec

from .limits import Usage

TAIL_BYTES = 4096
MAX_EVENT_BYTES = 1024 * 1024
GAPS = (b"\n\n", b"\r\n\r\n")  # what ends an event


class _Tokens(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int | None = 0
    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def usage(self) -> Usage:
        new = (self.completion_tokens or 0) + self.output_tokens
        prompt = self.prompt_tokens + self.input_tokens or max(0, self.total_tokens - new)
        return Usage(prompt, new)


class _Inner(msgspec.Struct):
    usage: _Tokens | None = None


class _Answer(msgspec.Struct):
    usage: _Tokens | None = None
    choices: list[msgspec.Raw] | None = None
    response: _Inner | None = None

    def tokens(self) -> _Tokens | None:
        return self.usage or (self.response.usage if self.response else None)


_answer = msgspec.json.Decoder(_Answer).decode
_tokens = msgspec.json.Decoder(_Tokens).decode


def usage_of(body: bytes) -> Usage:
    """Tokens of a whole answer; nothing, marked partial, where it does not say."""
    try:
        tokens = _answer(body).tokens()
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


class StreamTap:
    """Passes events on untouched, one whole event at a time, and keeps the last usage.

    `hide_usage` takes out the chunk that has usage and nothing else: the gateway asked for it, the caller did not.
    `ends_with_done` says that a complete stream ends with `data: [DONE]`.
    """

    def __init__(self, *, hide_usage: bool, ends_with_done: bool) -> None:
        self._hide_usage = hide_usage
        self._ends_with_done = ends_with_done
        self._held = b""
        self._events = 0
        self._usage: Usage | None = None
        self._has_done = False

    @property
    def is_complete(self) -> bool:
        return self._has_done or not self._ends_with_done

    @property
    def usage(self) -> Usage:
        """What the engine said; where it did not come to that, one token for each event that came by."""
        return self._usage or Usage(completion_tokens=self._events, is_partial=True)

    def feed(self, data: bytes) -> bytes:
        """The whole events in what has come so far; the rest is held back until its end is there."""
        if self._held:
            data = self._held + data
            self._held = b""
        if not data.endswith(GAPS):
            data = self._hold(data)
        self._events += data.count(b"\n\n") or data.count(b"\r\n\r\n")
        if b'"usage"' in data:
            data = self._without_usage(data)
        if b"[DONE]" in data:
            self._has_done = data.rstrip().rpartition(b"\n")[2].replace(b" ", b"") == b"data:[DONE]"
        return data

    def _hold(self, data: bytes) -> bytes:
        end = max((at + len(gap) for gap in GAPS if (at := data.rfind(gap)) >= 0), default=0)
        if len(data) - end > MAX_EVENT_BYTES:
            return data
        self._held = data[end:]
        return data[:end]

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
        self._usage = tokens.usage()
        return answer.choices == []
