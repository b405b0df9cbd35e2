"""A real OpenID Connect provider in a process of its own, which insists on PKCE and on a nonce."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Pkce:
    """Codes are redeemed only by who proves, by S256, to have asked for them. What the provider itself leaves out."""

    def __init__(self, app: Wsgi) -> None:
        self.app = app
        self.asked: dict[str, str] = {}  # by redirect address and state
        self.codes: dict[str, str] = {}

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path, query = environ["PATH_INFO"], parse_qs(environ.get("QUERY_STRING", ""))
        if path == "/oauth2/authorize":
            if query.get("code_challenge_method") != ["S256"] or "state" not in query:
                return refuse(start)
            return self.app(environ, self._noting(query["code_challenge"][0], start))
        if path == "/oauth2/token" and not self._is_proven(environ):
            return refuse(start)
        return self.app(environ, start)

    def _noting(self, challenge: str, start: Any) -> Any:
        def noting(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            location = dict(headers).get("Location", "")
            for code in parse_qs(urlsplit(location).query).get("code", []):
                self.codes[code] = challenge
            return start(status, headers, *more)

        return noting

    def _is_proven(self, environ: dict[str, Any]) -> bool:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        form = parse_qs(body.decode())
        proof = hashlib.sha256(form.get("code_verifier", [""])[0].encode()).digest()
        expected = self.codes.get(form.get("code", [""])[0])
        return expected == base64.urlsafe_b64encode(proof).decode().rstrip("=")


def refuse(start: Any) -> Iterable[bytes]:
    start("400 Bad Request", [("Content-Type", "application/json")])
    return [b'{"error": "invalid_request"}']


@dataclass(frozen=True)
class Provider:
    url: str

    def person(self, sub: str, **claims: Any) -> None:
        """Somebody who may sign in there, and what the provider tells of them."""
        request = urllib.request.Request(f"{self.url}/users/{sub}", json.dumps(claims).encode(), method="PUT",
                                         headers={"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=10).close()

    def authorize(self, address: str, sub: str, action: str = "") -> str:
        """Sign in there as `sub`, without a browser; where the provider sends the person back to."""
        body = f"sub={sub}&action={action}".encode()

        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *args: Any, **named: Any) -> None:
                return None

        try:
            urllib.request.build_opener(Stay).open(urllib.request.Request(address, body), timeout=10).close()
        except urllib.error.HTTPError as answer:
            if answer.code in (302, 303):
                return str(answer.headers["Location"])
        raise AssertionError("the provider did not send back")


@contextmanager
def running_provider() -> Iterator[Provider]:
    process = subprocess.Popen([sys.executable, "-m", "tests.rig.oidc"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        found = re.fullmatch(r"port (\d+)\n", process.stdout.readline())
        assert found is not None, "the provider did not start"
        yield Provider(f"http://localhost:{found[1]}")
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def main() -> None:
    from oidc_provider_mock import app
    from werkzeug.serving import make_server

    made = app(require_nonce=True)
    server = make_server("localhost", 0, Pkce(made.wsgi_app), threaded=True)
    print(f"port {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
