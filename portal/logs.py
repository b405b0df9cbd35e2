"""JSON logs, one line an event, each with its request id and none with secrets."""

from __future__ import annotations

import re
import secrets
from textwrap import indent
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse

from .middleware import Middleware

REQUEST_ID = re.compile(r"\A[A-Za-z0-9._-]{8,40}\Z")
SECRET_NAME = re.compile(r"(?i)(password|secret|token|authorization|cookie|api[_-]?key|digest)")
SECRET_VALUE = re.compile(r"sk-[a-z0-9]{16}-[A-Za-z0-9_-]{43}|hf_[A-Za-z0-9]{20,}|Bearer\s+\S+")


def hide_secrets(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Blank every value whose name or shape is a secret's; the last wall, not the first."""
    for name, value in event.items():
        if not name.startswith("_"):  # structlog's own notes, which are taken out before the line is written
            event[name] = "***" if SECRET_NAME.search(name) else without_secrets(value)
    return event


def without_secrets(value: Any) -> Any:
    """`value` as it may be written. Of a request only method and path: people put keys into queries."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, HttpRequest):
        value = f"{value.method} {value.path}"
    if isinstance(value, dict):
        return {str(name): "***" if SECRET_NAME.search(str(name)) else without_secrets(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(part) for part in value]
    return SECRET_VALUE.sub("***", value if isinstance(value, str) else repr(value))


def on_its_own_lines(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """For logs that people read: nothing in a value begins a line of its own or is obeyed by a terminal."""
    for name in list(event):
        value = event.pop(name)
        if isinstance(value, str):
            value = indent(visible(value, but="\n"), "    ") if name in ("exception", "stack") else visible(value)
        event[visible(name)] = value
    return event


def visible(text: str, but: str = "") -> str:
    """`text` with everything that isn't printable, `but` these, as its escape."""
    return "".join(sign if sign.isprintable() or sign in but else sign.encode("unicode_escape").decode() for sign in text)


def logging_config(level: str, *, json: bool) -> dict[str, Any]:
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(), structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info, hide_secrets,
    ]
    final: list[Any] = ([structlog.processors.JSONRenderer()] if json
                        else [on_its_own_lines, structlog.dev.ConsoleRenderer(colors=False)])
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"out": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": shared,
            "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        }},
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "out"}},
        "root": {"handlers": ["out"], "level": level},
        "loggers": {"uvicorn.access": {"level": "WARNING"}, "celery.beat": {"level": "WARNING"},
                    "celery.worker.strategy": {"level": "WARNING"}, "celery.app.trace": {"level": "WARNING"}},
    }


class RequestIdMiddleware(Middleware):
    """Gives each request an id (the caller's, where it is well formed), in logs, audit and answer."""

    def before(self, request: HttpRequest) -> None:
        given = request.headers.get("X-Request-Id", "")
        request.request_id = given if REQUEST_ID.match(given) else secrets.token_hex(8)  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.request_id)  # type: ignore[attr-defined]

    def after(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]
        return response
