"""People and programs that call a running portal; every byte that it answers is kept for the leak check."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
from openai import OpenAI

from .portal_run import PortalRun


class Tee(httpx.BaseTransport):
    """Real HTTP; heads and bodies of answers, streams too, go to `heard` as they pass."""

    def __init__(self, heard: list[bytes]) -> None:
        self._real, self._heard = httpx.HTTPTransport(), heard

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._real.handle_request(request)
        self._heard.extend(b"%s: %s" % pair for pair in answer.headers.raw)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=TeeStream(answer.stream, self._heard),
                              extensions=answer.extensions)

    def close(self) -> None:
        self._real.close()


class TeeStream(httpx.SyncByteStream):
    def __init__(self, real: Any, heard: list[bytes]) -> None:
        self._real, self._heard = real, heard

    def __iter__(self) -> Iterator[bytes]:
        whole = bytearray()
        try:
            for piece in self._real:
                whole += piece
                yield piece
        finally:
            self._heard.append(bytes(whole))

    def close(self) -> None:
        self._real.close()


class Caller:
    """A JSON API's client. `key` is sent where there is one; else the operator has signed in."""

    def __init__(self, run: PortalRun, heard: list[bytes], key: str = "") -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # Answers are read as they are sent, so that the leak check reads them too.
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{run.port}", transport=Tee(heard), timeout=30,
                                   headers={**headers, "Accept-Encoding": "identity"}, follow_redirects=True)
        self.openai = OpenAI(api_key=key or "none", base_url=f"http://127.0.0.1:{run.port}/v1", max_retries=0,
                             http_client=self.client)

    def sign_in(self, name: str, password: str) -> None:
        form = self.client.get("/account/login/").text
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
        assert token is not None, form
        answer = self.client.post("/account/login/", data={
            "login": name, "password": password, "csrfmiddlewaretoken": token[1], "next": "/admin/"})
        assert answer.status_code == 200, answer.text
        csrf = next(cookie.value for cookie in self.client.cookies.jar if "csrf" in cookie.name)
        self.client.headers["X-CSRFToken"] = csrf or ""

    def call(self, method: str, path: str, data: Any = None, status: int | None = None) -> Any:
        """The answer's JSON. Fails at a status that isn't the wanted one, or none of success."""
        where = path if path.startswith("/") else f"/api/v1/{path}"
        answer = self.client.request(method, where, json=data)
        fine = answer.status_code == status if status else answer.is_success
        assert fine, f"{method} {where}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, data: Any = None) -> Any:
        return self.call("POST", path, data or {})

    def page(self, path: str) -> str:
        """An admin's page, as a person opens it."""
        answer = self.client.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[-2000:]}"
        return answer.text

    def close(self) -> None:
        self.openai.close()


def eventually(found: Callable[[], Any], seconds: float, what: Callable[[], Any] = lambda: "") -> Any:
    """The first true value of `found`; fails with what `what` says."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, what()
        time.sleep(0.1)
    return value
