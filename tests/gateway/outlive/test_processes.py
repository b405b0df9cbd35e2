"""Gateway processes that die, hang and are stopped while they serve: what is cut is theirs alone."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx2 as httpx
from django.db.models import Sum

from endpoints.models import UsageHour
from portal.tenancy.models import ApiKey
from tests.gateway.outlive.parent import Parent, Stream
from tests.gateway.server import Tenant, eventually
from tests.simulators.openai_backend import USAGE, OpenAIBackend

TOKENS = USAGE["prompt_tokens"] + USAGE["completion_tokens"]
TenantOf = Callable[[Parent], Tenant]


def call(parent: Parent, key: str) -> int:
    body = {"model": "m", "messages": []}
    return httpx.post(f"{parent.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}).status_code


def booked(key: str) -> tuple[int, int, int]:
    """Calls of this key in the database, how many of them were cut, and their tokens."""
    row = ApiKey.objects.get(public_id=key.split("-")[1])
    sums = UsageHour.objects.filter(key_id=row.pk).aggregate(
        all=Sum("requests"), cut=Sum("partial"), into=Sum("prompt_tokens"), out=Sum("completion_tokens"))
    return sums["all"] or 0, sums["cut"] or 0, (sums["into"] or 0) + (sums["out"] or 0)


def over_all_workers(parent: Parent, key: str) -> list[Stream]:
    """Streams until each worker has one. A worker takes what it sees first, so how many that needs is left to chance."""
    streams: list[Stream] = []
    while not all(parent.serving(streams).values()):
        streams.append(Stream(parent, key))
        assert len(streams) < 200
    return streams


def key_to(engine: OpenAIBackend, tenant: Tenant) -> str:
    tenant.endpoint("m", engine.url, token="engine-token")
    key = tenant.key()
    time.sleep(1)  # each process reads for itself, every 0.2 s, and a call asked of one says nothing of the others
    return key


def test_a_killed_process_takes_only_its_own_streams_along(
        lasting: Parent, tenant_of: TenantOf, engine: OpenAIBackend) -> None:
    parent, key = lasting, key_to(engine, tenant_of(lasting))
    restarts = parent.figure("portal_gateway_worker_restarts_total")
    engine.script.words, engine.script.delay = 60, 0.05
    streams = over_all_workers(parent, key)
    eventually(lambda: engine.open_requests == len(streams))
    by_worker = parent.serving(streams)
    killed = min(by_worker)
    engine.script.delay = 0.0  # for the calls from now on: they must not wait
    os.kill(killed, signal.SIGKILL)
    assert [call(parent, key) for _ in range(20)] == [200] * 20, "the others answer while it is away"
    for stream in streams:
        stream.join(30)
    cut = {stream for stream in streams if not stream.is_whole}
    assert cut == set(by_worker[killed])
    assert all(len(stream.lines) == 61 for stream in streams if stream not in cut)
    assert all(b"[DONE]" not in line for stream in cut for line in stream.lines)
    eventually(lambda: len(parent.pids) == 3 and parent.figure("portal_gateway_workers") == 3, 30)
    assert killed not in parent.pids
    assert parent.figure("portal_gateway_worker_restarts_total") == restarts + 1
    # What the dead one had in its spool is booked by the one that takes its place, the cut streams as cut.
    eventually(lambda: booked(key)[:2] == (len(streams) + 20, len(cut)), 45)
    finished = len(streams) - len(cut) + 20
    assert finished * TOKENS < booked(key)[2] <= finished * TOKENS + len(cut) * (USAGE["prompt_tokens"] + 60)


def test_callers_of_a_process_that_hangs_are_taken_by_others(
        lasting: Parent, tenant_of: TenantOf, engine: OpenAIBackend) -> None:
    """A third of new connections wait at its socket."""
    key = key_to(engine, tenant_of(lasting))
    hung = min(lasting.pids)
    os.kill(hung, signal.SIGSTOP)
    try:
        assert [call(lasting, key) for _ in range(30)] == [200] * 30
    finally:
        os.kill(hung, signal.SIGCONT)


def test_a_stop_ends_streams_in_peace_and_takes_no_more(
        own: Parent, tenant_of: TenantOf, engine: OpenAIBackend) -> None:
    parent, key = own, key_to(engine, tenant_of(own))
    engine.script.words, engine.script.delay = 40, 0.05
    streams = over_all_workers(parent, key)
    eventually(lambda: engine.open_requests == len(streams))
    assert parent.process is not None
    parent.process.terminate()
    eventually(lambda: parent.readiness == (503, "draining"))
    eventually(lambda: refuses(parent))
    for stream in streams:
        stream.join(30)
    assert all(stream.is_whole for stream in streams)
    assert parent.process.wait(20) == 0, parent.log
    assert booked(key) == (len(streams), 0, len(streams) * TOKENS), "before the process ends"


def refuses(parent: Parent) -> bool:
    try:
        socket.create_connection(("127.0.0.1", parent.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_each_worker_is_counted_on_one_page(lasting: Parent, tenant_of: TenantOf, engine: OpenAIBackend) -> None:
    parent, key = lasting, key_to(engine, tenant_of(lasting))
    assert [call(parent, key) for _ in range(10)] == [200] * 10
    found = parent.figures("portal_gateway_requests_total")
    assert sum(found.values()) >= 10
    assert all('worker="' in labels for labels in found)
    ages = parent.figures("portal_gateway_snapshot_age_seconds")
    assert sorted(ages) == [f'{{worker="{number}"}}' for number in range(3)]
    assert all(age < 5 for age in ages.values())
    through_a_proxy = httpx.get(f"{parent.admin}/metrics", headers={"x-forwarded-for": "192.0.2.1"})
    with_a_wrong_token = httpx.get(f"{parent.admin}/metrics", headers={"authorization": "Bearer x"})
    assert (through_a_proxy.status_code, with_a_wrong_token.status_code) == (401, 401)
    assert httpx.get(f"{parent.admin}/livez").text == "ok\n"
    assert httpx.get(f"{parent.admin}/v1/models").status_code == 404


def test_a_port_that_is_taken_is_one_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        parent = Parent(folder, port=other.getsockname()[1])
        parent.start()
        assert parent.process is not None
        assert parent.process.wait(30) == 1
    assert parent.log.splitlines()[-1] == (
        f"CommandError: can't listen on 127.0.0.1:{parent.port} (Address already in use); choose another port")
