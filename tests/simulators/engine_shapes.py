"""What vLLM says on each of its routes. tests/gateway/clients/test_shapes.py holds these against vLLM's own classes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
POOLED = {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}
TOLD = {"input_tokens": 7, "output_tokens": 5}
RESPONSE_USAGE = {
    **TOLD, "total_tokens": 12,
    "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0, "input_tokens_per_turn": [],
                             "cached_tokens_per_turn": []},
    "output_tokens_details": {"reasoning_tokens": 0, "tool_output_tokens": 0, "output_tokens_per_turn": [],
                              "tool_output_tokens_per_turn": []}}


@dataclass(frozen=True)
class Ask:
    """A request as far as its answer depends on it."""

    path: str
    fields: dict[str, Any]
    words: tuple[str, ...]

    @property
    def model(self) -> str:
        return str(self.fields.get("model"))

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def wants_usage(self) -> bool:
        options = self.fields.get("stream_options") or {}
        return bool(options.get("include_usage") or self.fields.get("stream_include_usage") == "true")


def reply_to(ask: Ask) -> dict[str, Any]:
    """A whole answer."""
    path = ask.path
    common = {"id": "x-1", "created": 1, "model": ask.model}
    if path.endswith("/chat/completions"):
        message = {"role": "assistant", "content": ask.text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {**common, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    if path.endswith("/embeddings"):
        data = [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 1.0]}]
        return {**common, "object": "list", "data": data, "usage": POOLED}
    if path.endswith("/rerank"):
        result = {"index": 0, "document": {"text": "b"}, "relevance_score": 0.5}
        return {"id": "x-1", "model": ask.model, "results": [result], "usage": {"prompt_tokens": 7, "total_tokens": 7}}
    if path.endswith("/score"):
        data = [{"index": 0, "object": "score", "score": 0.5}]
        return {**common, "object": "list", "data": data, "usage": POOLED}
    special = {"/v1/responses": _response, "/v1/messages": _message, "/v1/messages/count_tokens": _count,
               "/v1/audio/transcriptions": _transcription, "/v1/audio/translations": _translation,
               "/tokenize": _tokens, "/detokenize": _prompt}.get(path)
    if special is not None:
        return special(ask)
    choice = {"index": 0, "text": ask.text, "finish_reason": "stop"}
    return {**common, "object": "text_completion", "choices": [choice], "usage": USAGE}


def events_for(ask: Ask, gap: str = "\n\n") -> list[str]:
    """A whole stream, event by event."""
    if ask.path == "/v1/messages":
        events = [_named(event) for event in _message_events(ask)]
    elif ask.path == "/v1/responses":
        events = [_named({**event, "sequence_number": number}) for number, event in enumerate(_response_events(ask))]
    else:
        events = [*(f"data: {json.dumps(chunk)}\n\n" for chunk in _chunks(ask)), "data: [DONE]\n\n"]
    return [event.replace("\n", gap[:len(gap) // 2]) for event in events]


def _named(event: dict[str, Any]) -> str:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"


def _chunks(ask: Ask) -> list[dict[str, Any]]:
    sounds = {"/v1/audio/transcriptions": "transcription.chunk", "/v1/audio/translations": "translation.chunk"}
    kind = sounds.get(ask.path, "chat.completion.chunk")
    base = {"id": "chatcmpl-1", "object": kind, "created": 1, "model": ask.model}
    chunks: list[dict[str, Any]] = []
    for word in ask.words:
        choice: dict[str, Any] = {"delta": {"role": "assistant", "content": f"{word} "}, "finish_reason": None}
        if ask.path not in sounds:
            choice |= {"index": 0, "text": f"{word} "}
        chunks.append({**base, "choices": [choice]})
    if ask.wants_usage:
        chunks.append({**base, "choices": [], "usage": USAGE})
    return chunks


def _message(ask: Ask) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "text", "text": ask.text}],
            "model": ask.model, "stop_reason": "end_turn", "usage": TOLD}


def _message_events(ask: Ask) -> list[dict[str, Any]]:
    start: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": ask.model,
                             "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 0}}
    deltas = [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f"{word} "}}
              for word in ask.words]
    return [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *deltas, {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": TOLD},
        {"type": "message_stop"},
    ]


def _count(ask: Ask) -> dict[str, Any]:
    return {"input_tokens": 7, "context_management": {"original_input_tokens": 7}}


def _item(text: str | None) -> dict[str, Any]:
    content: list[Any] = [] if text is None else [{"type": "output_text", "text": text, "annotations": [], "logprobs": None}]
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": content,
            "status": "in_progress" if text is None else "completed"}


def _response(ask: Ask, *, text: str | None = None, is_done: bool = True) -> dict[str, Any]:
    output = [_item(text if text is not None else ask.text)] if is_done else []
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "model": ask.model, "output": output,
        "status": "completed" if is_done else "in_progress", "parallel_tool_calls": True, "temperature": 1.0, "top_p": 1.0,
        "tool_choice": "auto", "tools": [], "background": False, "max_output_tokens": 50, "service_tier": "auto",
        "truncation": "disabled", "usage": RESPONSE_USAGE if is_done else None}


def _response_events(ask: Ask) -> list[dict[str, Any]]:
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    text = "".join(f"{word} " for word in ask.words)
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    deltas = [{"type": "response.output_text.delta", **at, "delta": f"{word} ", "logprobs": []} for word in ask.words]
    return [
        {"type": "response.created", "response": _response(ask, is_done=False)},
        {"type": "response.in_progress", "response": _response(ask, is_done=False)},
        {"type": "response.output_item.added", "output_index": 0, "item": _item(None)},
        {"type": "response.content_part.added", **at, "part": part}, *deltas,
        {"type": "response.output_text.done", **at, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": {**part, "text": text}},
        {"type": "response.output_item.done", "output_index": 0, "item": _item(text)},
        {"type": "response.completed", "response": _response(ask, text=text)},
    ]


def _transcription(ask: Ask) -> dict[str, Any]:
    return {"text": ask.text, "usage": {"type": "duration", "seconds": 2}}


def _translation(ask: Ask) -> dict[str, Any]:
    return {"text": ask.text}


def _tokens(ask: Ask) -> dict[str, Any]:
    return {"count": 3, "max_model_len": 256, "tokens": [1, 2, 3], "token_strs": None}


def _prompt(ask: Ask) -> dict[str, Any]:
    return {"prompt": "a b c"}
