"""The demo's HTTP calls: the same doors that every other program uses."""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from typing import Any

CALL_SECONDS = 60.0


class Answer(Exception):
    """An answer other than 2xx, or none at all (`status` 0)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Client:
    """Calls one portal with one key."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self._key = key
        # A proxy of the environment is not meant for this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> Any:
        return self._call("GET", path, None)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._call("POST", path, body or {})

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        """The parsed answer. Raises Answer."""
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        if method == "POST":
            headers["Idempotency-Key"] = secrets.token_hex(16)
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - our own address
        try:
            with self._opener.open(request, timeout=CALL_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise _as_answer(error.code, error.read()) from error
        except (OSError, ValueError) as error:
            raise Answer(0, "no_answer", str(error)) from error


def _as_answer(status: int, body: bytes) -> Answer:
    try:
        told = json.loads(body)["error"]
        return Answer(status, str(told.get("code", "")), str(told.get("message", "")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Answer(status, "", body[:300].decode(errors="replace"))
