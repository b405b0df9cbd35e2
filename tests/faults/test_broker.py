"""The broker is down, silent, or forgets everything (F1, F2), and beat comes twice (F9): real processes throughout."""

from __future__ import annotations

import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from kombu import Connection

from clusters.models import Engine
from endpoints import services
from endpoints.models import Endpoint
from endpoints.states import Status
from tests.faults.processes import FILES, Processes, World, eventually, redis_at, redis_says
from tests.rig.servers import free_port

pytestmark = pytest.mark.slow
QUEUED = 100


@contextmanager
def nobody(port: int) -> Iterator[None]:
    """Every connection is refused."""
    yield


@contextmanager
def black_hole(port: int) -> Iterator[None]:
    """Connections come about and nothing is ever answered, as from a host that hangs."""
    with socket.create_server(("127.0.0.1", port), backlog=64):
        yield


@pytest.mark.parametrize("away", [nobody, black_hole])
def test_a_deploy_without_a_broker_is_kept_and_done_when_it_is_back(
    portal: Processes, world: World, tmp_path: Path, away: object,
) -> None:
    port = free_port()
    portal.broker = f"redis://127.0.0.1:{port}/0"
    with away(port):  # type: ignore[operator]
        portal.serve()
        # What a new process loads with its first answer is not the broker's fault.
        httpx.get(f"{portal.web.url}/api/v1/endpoints", headers=world.headers, timeout=30)
        for name in ("first", "second"):
            began = time.monotonic()
            answer = portal.deploy(world, name)
            assert answer.status_code == 202, answer.text
            assert time.monotonic() - began <= 2.0, name
        began = time.monotonic()
        page = stop_by_admin(portal, world, Endpoint.objects.get(name="second"))
        assert (page, time.monotonic() - began <= 2.0) == (302, True)
        assert Endpoint.objects.get(name="second").wish == "stopped"
    with redis_at(tmp_path, port):
        portal.worker()
        portal.beat()
        eventually(lambda: Endpoint.objects.get(name="first").status == Status.CREATING, 40)
        eventually(lambda: Endpoint.objects.get(name="second").status == Status.STOPPED, 15)
    assert Engine.objects.filter(stop=False).count() == 1


def stop_by_admin(portal: Processes, world: World, endpoint: Endpoint) -> int:
    """What a person does on the page: ask, then confirm; the last status."""
    session = Client()
    session.force_login(world.cast.operator)
    cookies = {name: morsel.value for name, morsel in session.cookies.items()} | {settings.CSRF_COOKIE_NAME: "c" * 32}
    address = reverse("admin:endpoints_endpoint_stop", args=[endpoint.pk])
    with httpx.Client(base_url=portal.web.url, timeout=30, cookies=cookies) as browser:
        page = browser.get(address)
        token = re.search(r'name="confirm_token" value="([0-9a-f]{32})"', page.text)
        assert token, page.text[:2000]
        form = {"confirm_token": token[1], "csrfmiddlewaretoken": "c" * 32}
        return browser.post(address, data=form).status_code


def test_a_missing_queue_folder_costs_a_deploy_nothing(portal: Processes, world: World) -> None:
    portal.serve()
    shutil.rmtree(portal.folder / "queue")
    assert portal.deploy(world, "kept").status_code == 202
    assert Endpoint.objects.get().name == "kept"


@pytest.mark.parametrize("text", ["", "{", "[1", '"text"', "5", "null", "\xff"])
def test_a_broken_message_in_the_folder_is_dropped(tmp_path: Path, text: str) -> None:
    queue = tmp_path / "queue"
    queue.mkdir()
    options = {"data_folder_in": str(queue), "data_folder_out": str(queue), "control_folder": str(tmp_path / "control")}
    with Connection("filesystem://", transport_options=options) as broker:
        name = uuid.uuid4().hex
        simple = broker.SimpleQueue(name)
        (queue / f"0_broken.{name}.msg").write_bytes(text.encode("latin-1"))
        simple.put({"good": True})
        assert simple.get(timeout=5).payload == {"good": True}
        simple.close()


@pytest.mark.parametrize("kind", ["files", "redis"])
def test_messages_that_a_broker_forgot_are_made_good_once_each_even_by_two_beats(
    portal: Processes, world: World, tmp_path: Path, kind: str,
) -> None:
    port = free_port()
    portal.broker = FILES if kind == "files" else f"redis://127.0.0.1:{port}/0"
    with nobody(port) if kind == "files" else redis_at(tmp_path, port):
        portal.serve()
        bob = world.cast.actor("bob")
        sent = portal.deploy(world, "by-api")
        assert sent.status_code == 202
        place = Endpoint.objects.get().cluster
        for number in range(QUEUED - 1):
            services.create(bob, world.cast.alpha, name=f"queued-{number}", cluster=place, profile=world.profile)
        assert waiting(portal, kind, port) >= 1
        forget(portal, kind, port)
        assert waiting(portal, kind, port) == 0
        portal.worker()
        portal.beat("one")
        portal.beat("two")
        eventually(lambda: Endpoint.objects.filter(status=Status.CREATING).count() == QUEUED, 90)
        time.sleep(3)  # both beats come by once more
    engines = Engine.objects.values_list("endpoint_uid", flat=True)
    assert (len(engines), len(set(engines))) == (QUEUED, QUEUED)


def waiting(portal: Processes, kind: str, port: int) -> int:
    if kind == "files":
        return len(list((portal.folder / "queue").iterdir()))
    return int(redis_says(port, "LLEN", "celery"))


def forget(portal: Processes, kind: str, port: int) -> None:
    if kind == "files":
        shutil.rmtree(portal.folder / "queue")
        (portal.folder / "queue").mkdir()
    else:
        redis_says(port, "FLUSHALL")
