"""Settings that would be dangerous: found before anything starts, said in one line each."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

LOOPBACK_NAMES = {"localhost", "localhost.localdomain"}


@dataclass(frozen=True)
class Safety:
    """The settings that can make an installation unsafe together."""

    debug: bool
    secret_key: str
    field_keys: tuple[str, ...]
    bind: str
    allowed_hosts: tuple[str, ...]
    broker_url: str
    allow_open_redis: bool = False


def is_loopback(host: str) -> bool:
    name = host.strip("[]").lower()
    if name in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def dangers(safety: Safety) -> list[str]:
    """One sentence for each dangerous setting, empty where all is well."""
    public = not is_loopback(safety.bind)
    checks = [
        (not safety.secret_key, "PORTAL_SECRET_KEY is not set; `make setup` makes one"),
        (0 < len(safety.secret_key) < 40 or "insecure" in safety.secret_key,
         "PORTAL_SECRET_KEY is a default or too short (40 characters at least)"),
        (not safety.field_keys, "PORTAL_FIELD_KEYS is not set; `make setup` makes one"),
        (safety.debug and public, f"PORTAL_DEBUG is on while the portal listens on {safety.bind}"),
        (public and "*" in safety.allowed_hosts, "PORTAL_ALLOWED_HOSTS is * on a public address"),
        (_open_redis(safety), "CELERY_BROKER_URL is a Redis on the network without password and TLS (rediss://)"),
    ]
    return [sentence for wrong, sentence in checks if wrong]


def _open_redis(safety: Safety) -> bool:
    url = urlsplit(safety.broker_url)
    if url.scheme not in ("redis", "rediss") or safety.allow_open_redis or is_loopback(url.hostname or "localhost"):
        return False
    return url.scheme != "rediss" or not url.password


def refuse_unsafe(safety: Safety) -> None:
    """End the process with exit code 1 and one line where a setting is dangerous."""
    found = dangers(safety)
    if found:
        raise SystemExit(f"portal: refusing to start: {'; '.join(found)}.")
