"""Times and sizes of the gateway, each with its environment variable."""

from __future__ import annotations

from dataclasses import dataclass

import environ


@dataclass(frozen=True, slots=True)
class Config:
    """Times are in seconds."""

    refresh_seconds: float = 1.0  # how often keys and endpoints are read
    connect_seconds: float = 3.0
    engine_seconds: float = 600.0  # how long an engine may be silent: before its answer and inside it
    idle_seconds: float = 3.5  # engines close idle connections after 5 s; we must be first
    down_seconds: float = 3.0  # how long a replica that refused a connection comes last
    head_seconds: float = 10.0  # how long a caller may take to send the head of a request
    body_seconds: float = 30.0  # how long a caller may take to send a body
    write_seconds: float = 60.0  # how long a caller may read nothing of an answer
    flush_seconds: float = 10.0  # how often the last use of keys is written
    logs_calls: bool = False  # a log line for each call, and not only for those that failed


def from_environment() -> Config:
    """Defaults, with what the environment says instead."""
    env = environ.Env()
    return Config(
        refresh_seconds=env.float("PORTAL_GATEWAY_REFRESH_SECONDS", Config().refresh_seconds),
        engine_seconds=env.float("PORTAL_GATEWAY_ENGINE_SECONDS", Config().engine_seconds),
        head_seconds=env.float("PORTAL_GATEWAY_HEAD_SECONDS", Config().head_seconds),
        body_seconds=env.float("PORTAL_GATEWAY_BODY_SECONDS", Config().body_seconds),
        write_seconds=env.float("PORTAL_GATEWAY_WRITE_SECONDS", Config().write_seconds),
        flush_seconds=env.float("PORTAL_GATEWAY_FLUSH_SECONDS", Config().flush_seconds),
        logs_calls=env.bool("PORTAL_GATEWAY_LOG_CALLS", Config().logs_calls),
    )
