"""Live pages over a real server: what a stream tells, to whom, and when it ends (threat T6)."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from clusters.models import Engine
from clusters.states import Phase
from endpoints.models import Endpoint, Event
from endpoints.states import Status
from portal.tenancy.models import Membership, User
from tests.cast import Cast, make_cast, make_cluster, make_host, make_profile, make_user
from tests.gateway.server import Server, database, eventually, migrate, running_server
from tests.portal.world import make_endpoint, make_engine
from tests.simulators.openai_backend import OpenAIBackend

COOKIE = "portal_session_8000"  # of the server's own settings


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams-template")
    migrate(folder)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("streams"), template) as running:
        yield running


@pytest.fixture(scope="module")
def people(server: Server, django_db_blocker: Any) -> Iterator[Cast]:
    with django_db_blocker.unblock(), database(server.folder):
        yield make_cast()


@pytest.fixture
def row(people: Cast, server: Server, django_db_blocker: Any) -> Iterator[Endpoint]:
    with django_db_blocker.unblock(), database(server.folder):
        yield a_row(people, f"chat-{time.monotonic_ns() % 10**9}")


def a_row(people: Cast, name: str) -> Endpoint:
    cluster = make_cluster(name)
    made = make_endpoint(people, people.alpha, cluster, make_profile(f"{name}-cpu"), name)
    make_engine(made, make_host(cluster, name))
    Endpoint.objects.filter(pk=made.pk).update(
        status=Status.STOPPED, wish="stopped", seen_at=timezone.now(), observed_generation=1, next_look_at="2099-01-01T00:00Z")
    return made


def session_of(user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


class Listener:
    """An open page: collects the events of its stream in a thread."""

    def __init__(self, server: Server, row: Endpoint, session: str, slug: str = "alpha") -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.connection.request("GET", f"/w/{slug}/endpoints/{row.uid}/stream/", headers={"Cookie": f"{COOKIE}={session}"})
        self.answer = self.connection.getresponse()
        self.events: list[tuple[str, Any]] = []
        self.over_at: float | None = None
        self.thread = threading.Thread(target=self._listen, daemon=True)
        if self.answer.status == 200:
            self.thread.start()

    def _listen(self) -> None:
        name = ""
        try:
            for line in self.answer:
                text = line.decode().rstrip("\n")
                if text.startswith("event: "):
                    name = text[7:]
                elif text.startswith("data: "):
                    self.events.append((name, json.loads(text[6:])))
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass
        self.over_at = time.monotonic()

    def names(self) -> list[str]:
        return [name for name, _data in self.events]

    def of(self, name: str) -> list[Any]:
        return [data for each, data in list(self.events) if each == name]

    def wait(self, name: str, count: int = 1, seconds: float = 8) -> Any:
        eventually(lambda: len(self.of(name)) >= count, seconds)
        return self.of(name)[-1]

    def close(self) -> None:
        if self.connection.sock is not None:
            with suppress(OSError):
                self.connection.sock.shutdown(socket.SHUT_RDWR)
        if self.thread.is_alive():
            self.thread.join(5)
        self.answer.close()
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def test_a_stream_tells_what_changes(server: Server, people: Cast, row: Endpoint) -> None:
    with Listener(server, row, session_of(people.vera)) as page:
        headers = page.answer.headers
        assert (headers["Content-Type"], headers["X-Accel-Buffering"]) == ("text/event-stream; charset=utf-8", "no")
        assert "no-store" in headers["Cache-Control"]
        first = page.wait("state")
        Endpoint.objects.filter(pk=row.pk).update(status=Status.CREATING)
        second = page.wait("state", 2)
        Event.objects.create(endpoint=row, kind="status", now="CREATING", generation=1)
        third = page.wait("state", 3)
        Engine.objects.filter(endpoint_uid=row.uid).update(phase=Phase.LOADING)
        fourth = page.wait("state", 4)
        assert len({told["mark"] for told in (first, second, third, fourth)}) == 4
        seen = timezone.now()
        Endpoint.objects.filter(pk=row.pk).update(seen_at=seen)
        fifth = page.wait("state", 5)
        assert fifth["mark"] == fourth["mark"], "only the age has changed"
        assert fifth["seen_at"].startswith(seen.isoformat()[:19])


def test_a_stream_ends_when_the_endpoint_is_gone(server: Server, people: Cast, row: Endpoint) -> None:
    with Listener(server, row, session_of(people.alice)) as page:
        page.wait("state")
        Event.objects.filter(endpoint=row).delete()
        Endpoint.objects.filter(pk=row.pk).update(wanted=None, serving=None)
        row.revisions.all().delete()
        Endpoint.objects.filter(pk=row.pk).delete()
        page.wait("gone")
        eventually(lambda: page.over_at)


@pytest.mark.parametrize(("name", "slug", "status"), [("charlie", "alpha", 404), ("charlie", "beta", 404), ("alice", "-", 404),
                                                      ("operator", "-", 200), ("operator", "alpha", 200)])
def test_only_those_who_may_see_it_have_a_stream(
    server: Server, people: Cast, row: Endpoint, name: str, slug: str, status: int,
) -> None:
    with Listener(server, row, session_of(getattr(people, name)), slug) as page:
        assert page.answer.status == status


def test_nobody_has_a_stream(server: Server, row: Endpoint) -> None:
    with Listener(server, row, "forged") as page:
        assert page.answer.status == 401


def test_a_person_has_a_few_streams_and_gets_one_back_for_each_that_ends(
    server: Server, people: Cast, row: Endpoint,
) -> None:
    session = session_of(people.bob)
    pages = [Listener(server, row, session) for _number in range(8)]
    with Listener(server, row, session) as ninth:
        assert (ninth.answer.status, ninth.answer.headers["Retry-After"]) == (503, "30")
    with Listener(server, row, session_of(people.vera)) as other:
        assert other.answer.status == 200
    pages.pop().close()

    def admitted() -> bool:
        with Listener(server, row, session) as page:
            return page.answer.status == 200

    eventually(admitted)
    for page in pages:
        page.close()


def test_figures_come_from_the_engines_while_somebody_looks(server: Server, people: Cast, row: Endpoint) -> None:
    with OpenAIBackend() as engine:
        engine.script.content_type = "text/plain"
        engine.script.body = b"vllm:num_requests_running 4.0\nvllm:kv_cache_usage_perc 0.5\n"
        Engine.objects.filter(endpoint_uid=row.uid).update(phase=Phase.READY, port=int(engine.url.rpartition(":")[2]))
        Endpoint.objects.filter(pk=row.pk).update(status=Status.INSERVICE, ready_replicas=1, wish="running")
        with Listener(server, row, session_of(people.alice)) as page, Listener(server, row, session_of(people.vera)) as other:
            told, same = page.wait("figures", 2, 12), other.wait("figures", 2, 12)
            asked = len([each for each in engine.requests if each.path == "/metrics"])
        assert (told["running"], told["cache"], told["waiting"]) == (4.0, 0.5, None)
        assert same["running"] == 4.0
        assert asked <= 5, "two pages share the samples"


@pytest.mark.slow
def test_a_stream_ends_within_seconds_after_the_right_to_it(server: Server, people: Cast, row: Endpoint) -> None:
    """Removed from the workspace, signed out, disabled, another password: all of them; who stays, stays."""
    leavers = {name: make_user(f"{name}-{row.pk}") for name in ("removed", "out", "disabled", "password", "stays")}
    for user in leavers.values():
        Membership.objects.create(workspace=people.alpha, user=user, role="viewer")
    sessions = {name: session_of(user) for name, user in leavers.items()}
    pages = {name: Listener(server, row, session) for name, session in sessions.items()}
    for page in pages.values():
        page.wait("state")
    Membership.objects.filter(user=leavers["removed"]).delete()
    Session.objects.filter(session_key=sessions["out"]).delete()
    User.objects.filter(pk=leavers["disabled"].pk).update(is_active=False)
    leavers["password"].set_password("another-Secret-9")
    leavers["password"].save()
    began = time.monotonic()
    for name in ("removed", "out", "disabled", "password"):
        pages[name].wait("revoked", seconds=30)
        eventually(lambda name=name: pages[name].over_at)
    assert time.monotonic() - began < 16
    marks = len(pages["removed"].events)
    Endpoint.objects.filter(pk=row.pk).update(message="a secret")
    pages["stays"].wait("state", len(pages["stays"].of("state")) + 1)
    assert pages["stays"].over_at is None
    assert len(pages["removed"].events) == marks
    for page in pages.values():
        page.close()


def test_streams_end_by_themselves_when_the_server_stops(
    tmp_path: Path, template: Path, django_db_blocker: Any,
) -> None:
    with django_db_blocker.unblock(), running_server(tmp_path, template) as server, database(tmp_path):
        people = make_cast()
        row = a_row(people, "chat")
        with Listener(server, row, session_of(people.alice)) as page:
            page.wait("state")
            began = time.monotonic()
            server.stop()
        assert time.monotonic() - began < 4, "it did not wait until its patience was over"
        assert page.names()[-1] == "ended"
        assert "Cancel" not in server.log
        assert "Traceback" not in server.log


