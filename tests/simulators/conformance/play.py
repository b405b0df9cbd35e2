"""Plays the steps of a case against a simulator."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tests.simulators.conformance.compare import MISSING, body_faults, event_faults, pointed_faults, relevant
from tests.simulators.conformance.tokens import Bindings
from tests.simulators.kubernetes.server import Simulator

Step = dict[str, Any]
UNTIL_SECONDS = 150.0
DURING_SECONDS = 0.4


def cases(folder: Path) -> Iterator[tuple[str, str, list[Step]]]:
    """Topic, name and steps of each case."""
    for file in sorted(folder.glob("*.jsonl")):
        steps: list[Step] = [json.loads(line) for line in file.read_text().splitlines()]
        for name in dict.fromkeys(step["case"] for step in steps):
            yield file.stem, name, [step for step in steps if step["case"] == name]


class Player:
    """One connection to a simulator, and what a case has learnt."""

    def __init__(self, simulator: Simulator, *, speed: float, races: Collection[tuple[str, int]] = ()) -> None:
        """`races`: steps of which only the HTTP status is compared."""
        self.simulator, self.speed, self.races = simulator, speed, races
        self.bindings = Bindings()
        self.faults: list[str] = []
        self._context = ssl.create_default_context(cadata=simulator.ca_pem)
        self._kept = self._connect()

    def close(self) -> None:
        self._kept.close()

    def play(self, steps: list[Step]) -> list[str]:
        """What differed, each with its step."""
        for step in steps:
            self._step(step)
        self.faults += self.bindings.order_faults()
        self._wait_for_namespaces(steps)
        return self.faults

    def _step(self, step: Step) -> None:
        if step.get("pause"):
            time.sleep(step["pause"] / self.speed)
        if step.get("requires") == "compaction":
            self.simulator.compact()
        found = self._watch(step) if "events" in step["response"] else self._ask(step)
        self.faults += [f"{step['case']} {step['step']} ({step['note']}): {each}" for each in found]

    def _ask(self, step: Step) -> list[str]:
        until = step.get("until")
        end = time.monotonic() + UNTIL_SECONDS / self.speed + 3
        while True:
            status, headers, body = self._send(step["request"])
            if not until or self._arrived(until, status, body):
                return list(self._compare(step, status, headers, body))
            if time.monotonic() > end:
                return [f"never became {until}: {status} {json.dumps(body)[:600]}"]
            time.sleep(0.25 / self.speed)

    def _arrived(self, until: dict[str, Any], status: int, body: Any) -> bool:
        if until.get("status", status) != status:
            return False
        for pointer, value in (until.get("body") or {}).items():
            expected, place = self._at(pointer, value)
            if any(pointed_faults(pointer, expected, body, self.bindings)) and not (
                value is None and place(body) is None
            ):
                return False
        return True

    def _at(self, pointer: str, value: Any) -> tuple[Any, Any]:
        """A body that has only this value, and how to find the place in another."""
        parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]

        def place(body: Any) -> Any:
            for part in parts:
                if isinstance(body, list) and part.isdigit() and int(part) < len(body):
                    body = body[int(part)]
                elif isinstance(body, dict):
                    body = body.get(part)
                else:
                    return None
            return body

        expected: Any = MISSING if value is None else value
        for part in reversed(parts):
            below = {} if expected is MISSING else {part: expected}
            expected = [*[MISSING] * int(part), expected] if part.isdigit() else below
        return expected, place

    def _compare(self, step: Step, status: int, headers: Any, body: Any) -> Iterator[str]:
        expected = step["response"]
        if status != expected["status"]:
            yield f"status {status} instead of {expected['status']}: {json.dumps(body)[:600]}"
            return
        if step.get("setup") or (step["case"], step["step"]) in self.races:
            return
        yield from self._header_faults(expected.get("headers") or {}, headers)
        yield from body_faults(step, body, self.bindings)

    def _header_faults(self, expected: dict[str, str], headers: Any) -> Iterator[str]:
        wanted = expected.get("content-type", "").partition(";")[0]
        if wanted and headers.get_content_type() != wanted:
            yield f"content-type {headers.get('content-type')} instead of {wanted}"
        for name in ("warning", "retry-after"):
            told = ", ".join(headers.get_all(name) or ())
            wanted = expected.get(name, "")
            wanted = ", ".join(wanted) if isinstance(wanted, list) else wanted
            if not self.bindings.matches(wanted, told) and (name in expected or name == "warning"):
                yield f"{name}: {told!r} instead of {expected.get(name)!r}"

    # --- HTTP

    def _connect(self) -> http.client.HTTPSConnection:
        port = int(self.simulator.url.rpartition(":")[2])
        return http.client.HTTPSConnection("127.0.0.1", port, context=self._context, timeout=60)

    def _send(self, request: dict[str, Any]) -> tuple[int, Any, Any]:
        self._start(self._kept, request)
        answer = self._kept.getresponse()
        return answer.status, answer.headers, decoded(answer.headers, answer.read())

    def _start(self, connection: http.client.HTTPSConnection, request: dict[str, Any]) -> None:
        request = self.bindings.fill(request)
        path, query = quote(request["path"], safe="/:$()*!,;=@~'"), urlencode(request.get("query") or {}, doseq=True)
        headers = {"User-Agent": "conformance/1.0", **(request.get("headers") or {})}
        auth = request.get("auth", f"bearer {self.simulator.admin_token}")
        if auth != "none":
            headers["Authorization"] = "Bearer " + auth.removeprefix("bearer ")
        connection.putrequest(request["method"], path + (f"?{query}" if query else ""), skip_accept_encoding=True)
        body = request_body(request)
        for name, value in headers.items():
            for each in value if isinstance(value, list) else [value]:
                connection.putheader(name, each)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)

    def _watch(self, step: Step) -> list[str]:
        connection = self._connect()
        try:
            self._start(connection, step["request"])
            answer = connection.getresponse()
            if answer.status != step["response"]["status"]:
                return [f"status {answer.status} instead of {step['response']['status']}: {answer.read()!r:.500}"]
            if step.get("during"):
                time.sleep(DURING_SECONDS / self.speed)
                for request in step["during"]:
                    self._send(request)
            events = self._events(answer, step)
        finally:
            connection.close()
        return list(event_faults(step, events, self.bindings))

    def _events(self, answer: http.client.HTTPResponse, step: Step) -> list[Any]:
        """Until the server ends the watch, or all the expected ones have come."""
        expected, events = step["response"]["events"], []
        while step["response"]["end"] == "server" or len(relevant(events, expected)) < len(expected):
            line = answer.readline()
            if not line:
                break
            events.append(json.loads(line))
        return events

    def _wait_for_namespaces(self, steps: list[Step]) -> None:
        """Cases do not see what former ones left."""
        for step in steps:
            path = step["request"]["path"]
            if (
                step["request"]["method"] == "DELETE"
                and path.startswith("/api/v1/namespaces/")
                and path.count("/") == 4
            ):
                end = time.monotonic() + 10
                while self._send({"method": "GET", "path": path})[0] == 200 and time.monotonic() < end:
                    time.sleep(0.01)


def request_body(request: dict[str, Any]) -> bytes:
    if "rawBody" in request:
        return str(request["rawBody"]).encode()
    if "body" not in request:
        return b""
    body = request["body"]
    if expand := request.get("expand"):
        body = expanded(body, expand["pointer"], expand)
    return json.dumps(body).encode()


def expanded(value: Any, pointer: str, expand: dict[str, Any]) -> Any:
    """The body with what was too long to print."""
    if not pointer:
        return expand["char"] * expand["times"] if "char" in expand else value * expand["times"]
    first, _, rest = pointer[1:].partition("/")
    inner = f"/{rest}" if rest else ""
    if isinstance(value, list):
        return [expanded(each, inner, expand) if number == int(first) else each for number, each in enumerate(value)]
    key = first.replace("~1", "/").replace("~0", "~")
    return {**value, key: expanded(value.get(key), inner, expand)}


def decoded(headers: Any, body: bytes) -> Any:
    if not body:
        return None
    if headers.get_content_type() == "application/json" or body.startswith(b"{"):  # the OpenAPI index calls itself text
        return json.loads(body)
    return body.decode(errors="replace")
