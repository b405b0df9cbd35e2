"""Usage, read from whole answers and from streams of each kind, however the network cuts them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints.gateway.limits import Usage
from endpoints.gateway.tap import CHUNKS, MESSAGES, RESPONSES, Events, StreamTap, usage_in_tail, usage_of

TEXT = (b'data: {"choices":[{"delta":{"content":"say \\"usage\\": [DONE]"}}],"usage":null}\n\n'
        b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}\n\n'
DONE = b"data: [DONE]\n\n"

ANTHROPIC_START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","role":"assistant","content":[],'
    b'"usage":{"input_tokens":3,"output_tokens":0,"cache_read_input_tokens":2}}}\n\n')
ANTHROPIC_TEXT = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"message_stop"}}\n\n' * 3
ANTHROPIC_DELTA = (b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
                   b'"usage":{"output_tokens":9}}\n\n')
ANTHROPIC_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
RESPONSE_TEXT = (b'event: response.created\ndata: {"type":"response.created","response":{"usage":null}}\n\n'
                 + b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"a"}\n\n' * 2)
RESPONSE_END = (b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"r","usage":'
                b'{"input_tokens":7,"input_tokens_details":{"cached_tokens":4},"output_tokens":5,"total_tokens":12}}}\n\n')


def feed(tap: StreamTap, whole: bytes, cuts: list[int]) -> bytes:
    places = [0, *sorted(cuts), len(whole)]
    return b"".join(tap.feed(whole[start:end]) for start, end in pairwise(places))


@given(st.lists(st.integers(0, len(TEXT + USAGE + DONE)), max_size=12), st.booleans())
def test_however_a_stream_is_cut_up_the_caller_sees_the_same(cuts: list[int], hide: bool) -> None:
    tap = StreamTap(CHUNKS, hide_usage=hide)
    assert feed(tap, TEXT + USAGE + DONE, cuts) == (TEXT + DONE if hide else TEXT + USAGE + DONE)
    assert tap.usage == Usage(3, 4)
    assert tap.has_ended


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(("events", "start", "end", "usage", "partial"), [
    (CHUNKS, TEXT, USAGE + DONE, Usage(3, 4), Usage(0, 2, is_partial=True)),
    (MESSAGES, ANTHROPIC_START + ANTHROPIC_TEXT, ANTHROPIC_DELTA + ANTHROPIC_STOP, Usage(5, 9, 2),
     Usage(5, 3, 2, is_partial=True)),
    (RESPONSES, RESPONSE_TEXT, RESPONSE_END, Usage(7, 5, 4), Usage(0, 2, is_partial=True)),
])
def test_each_kind_of_stream_tells_its_usage_and_its_end(
    events: Events, start: bytes, end: bytes, usage: Usage, partial: Usage, line_end: bytes,
) -> None:
    start, end = start.replace(b"\n", line_end), end.replace(b"\n", line_end)
    for size in (1, 7, 100, 10_000):
        tap = StreamTap(events)
        assert feed(tap, start, list(range(0, len(start), size))) == start
        assert not tap.has_ended
        assert tap.usage.prompt_tokens == partial.prompt_tokens
        assert tap.usage.is_partial
        if size < 10_000 or events is not MESSAGES:  # text in one piece with the first usage is not told apart
            assert tap.usage == partial
        assert feed(tap, end, list(range(0, len(end), size))) == end
        assert tap.has_ended
        assert tap.usage == usage


def test_usage_that_came_before_a_cut_is_kept() -> None:
    tap = StreamTap(MESSAGES)
    tap.feed(ANTHROPIC_START)
    tap.feed(ANTHROPIC_TEXT)
    tap.feed(ANTHROPIC_DELTA[:40])
    assert tap.usage == Usage(5, 3, 2, is_partial=True)


def test_a_stream_without_usage_counts_its_events() -> None:
    tap = StreamTap(hide_usage=True)
    assert tap.feed(TEXT + b"data: {") == TEXT
    assert tap.usage == Usage(0, 2, is_partial=True)
    assert tap.tokens == 2
    assert not tap.has_ended


def test_the_words_done_inside_a_text_do_not_end_a_stream() -> None:
    tap = StreamTap(hide_usage=True)
    tap.feed(b'data: {"choices":[{"delta":{"content":"data: [DONE]"}}]}\n\n')
    assert not tap.has_ended


def test_an_endless_event_is_not_kept_in_memory() -> None:
    tap = StreamTap(hide_usage=True)
    passed = sum(len(tap.feed(b"x" * 65536)) for _ in range(40))
    assert passed >= 23 * 65536


@pytest.mark.parametrize(("body", "usage"), [
    (b'{"usage":{"prompt_tokens":3,"completion_tokens":4}}', Usage(3, 4)),
    (b'{"usage":{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":2}}}', Usage(3, 4, 2)),
    (b'{"usage":{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":null}}', Usage(3, 4)),
    (b'{"usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7}}', Usage(3, 4)),
    (b'{"usage":{"input_tokens":3,"output_tokens":4,"input_tokens_details":{"cached_tokens":1}}}', Usage(3, 4, 1)),
    (b'{"usage":{"input_tokens":3,"output_tokens":4,"cache_read_input_tokens":10,"cache_creation_input_tokens":5}}',
     Usage(18, 4, 10)),
    (b'{"usage":{"prompt_tokens":3,"total_tokens":3,"completion_tokens":null}}', Usage(3, 0)),
    (b'{"usage":{"total_tokens":9}}', Usage(9, 0)),
    (b'{"text":"a","usage":{"type":"duration","seconds":12}}', Usage(0, 0)),
    (b'{"usage":null}', Usage(is_partial=True)), (b"{}", Usage(is_partial=True)), (b"\xff", Usage(is_partial=True)),
    (b'{"usage":{"prompt_tokens":-3,"completion_tokens":4}}', Usage(is_partial=True)),
    (b'{"usage":{"prompt_tokens":1e40,"completion_tokens":4}}', Usage(is_partial=True)),
])
def test_usage_of_whole_answers(body: bytes, usage: Usage) -> None:
    assert usage_of(body) == usage


def test_usage_in_the_tail_of_a_long_answer() -> None:
    tail = b'0.25]}],"usage":{"prompt_tokens":3,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens":2},"x":{}}'
    assert usage_in_tail(tail) == Usage(3, 2, 1)
    assert usage_in_tail(b"0.25]}") == Usage(is_partial=True)
