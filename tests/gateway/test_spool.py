"""The spool: what a kill leaves, and that each record is booked exactly once whatever dies when."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction

from endpoints.gateway.errors import GatewayError
from endpoints.gateway.limits import Usage
from endpoints.gateway.loader import DatabaseAway
from endpoints.gateway.snapshot import Price
from endpoints.gateway.spool import Spool, flusher, home, layout, ledger, metrics
from endpoints.gateway.spool.flusher import Flusher
from endpoints.gateway.spool.home import Home, claim_dead, make_home
from endpoints.gateway.spool.rollup import roll_up
from endpoints.gateway.spool.writer import Writer
from endpoints.models import SpoolPosition, TrafficMinute, UsageHour
from tests.gateway.server import database, eventually

PRICE = Price(0.5, 1.5, 0.1)
WHO = {"key_id": 5, "member_id": 3, "workspace_id": 2, "route_id": 0, "endpoint_id": 7, "door": 1}
DONE: dict[str, Any] = {"status": 200, "usage": Usage(100, 50, 10), "first_byte": 0.03, "seconds": 0.2, "error": False}
NANO = (90 * 0.5 + 10 * 0.1 + 50 * 1.5) * 1000  # of one DONE


def begin(spool: Writer, **more: Any) -> int:
    price = (PRICE.prompt, PRICE.completion, PRICE.cached)
    return spool.open(layout.name_of(**{**WHO, "price": price, **more}), 80)


def serve(spool: Writer, times: int = 1) -> None:
    for _ in range(times):
        spool.close(begin(spool), **DONE)


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[tuple[Home, Writer]]:
    """A spool that this process writes."""
    ours = make_home(tmp_path / "spool")
    spool = Writer()
    spool.attach(ours)
    yield ours, spool
    ours.release()


def totals(ours: Home, spool: Writer) -> list[int]:
    """requests, errors, refused, cut, tokens in, out, cached, cost of all records."""
    deltas = roll_up(ours.read(0, spool.written), 0)
    assert not deltas.torn
    return [sum(column) for column in zip(*deltas.usage.values(), strict=True)] or [0] * 8


def test_a_call_that_ended_is_a_record_with_its_cost(mine: tuple[Home, Writer]) -> None:
    ours, spool = mine
    slot = begin(spool)
    spool.progress(slot, 7)
    assert spool.written == 0
    spool.close(slot, **DONE)
    assert totals(ours, spool) == [1, 0, 0, 0, 100, 50, 10, NANO]


def test_a_slot_serves_again_and_a_second_end_counts_nothing(mine: tuple[Home, Writer]) -> None:
    _ours, spool = mine
    slot = begin(spool)
    spool.close(slot, **DONE)
    spool.close(slot, **DONE)
    assert begin(spool) == slot
    assert spool.written == 1


def test_a_failed_attempt_counts_for_its_endpoint_only_in_the_traffic(mine: tuple[Home, Writer]) -> None:
    ours, spool = mine
    slot = begin(spool)
    spool.moved(slot, endpoint_id=8, price=None)
    spool.close(slot, **DONE)
    deltas = roll_up(ours.read(0, 2), 0)
    assert [(key[4], counts[:2], counts[-1]) for key, counts in deltas.usage.items()] == [(8, [1, 0], 0)]
    assert {key[2]: counts[:2] for key, counts in deltas.traffic.items()} == {7: [1, 1], 8: [1, 0]}


def test_a_refusal_is_no_request_and_no_traffic(mine: tuple[Home, Writer]) -> None:
    ours, spool = mine
    spool.refused(**WHO, status=429)
    deltas = roll_up(ours.read(0, 1), 0)
    assert [counts[:4] for counts in deltas.usage.values()] == [[0, 0, 1, 0]]
    assert deltas.traffic == {}


def test_an_engines_nonsense_costs_neither_the_call_nor_the_sums(mine: tuple[Home, Writer]) -> None:
    ours, spool = mine
    for tokens in (-5, 2**40, 2**70):
        spool.close(begin(spool), **{**DONE, "usage": Usage(tokens, tokens, 0)})
    assert totals(ours, spool)[:6] == [3, 0, 0, 0, 2 * layout.MOST_TOKENS, 2 * layout.MOST_TOKENS]


def test_many_calls_are_in_flight_at_once_and_too_many_are_refused(mine: tuple[Home, Writer]) -> None:
    _ours, spool = mine
    slots = {begin(spool) for _ in range(layout.SLOTS - 1)}
    assert len(slots) == layout.SLOTS - 1
    with pytest.raises(GatewayError, match="full"):
        begin(spool)


def test_a_full_file_is_followed_by_the_next_and_given_up_once_it_is_booked(mine: tuple[Home, Writer]) -> None:
    ours, spool = mine
    serve(spool, layout.RECORDS_A_FILE * 2 + 5)
    files = sorted(path.name for path in ours.path.iterdir() if path.name.isdecimal())
    assert files == [f"{layout.RECORDS_A_FILE * n:020d}" for n in range(3)]
    read = [roll_up(ours.read(at, spool.written), at) for at in range(0, spool.written, layout.RECORDS_A_FILE)]
    assert sum(counts[0] for deltas in read for counts in deltas.usage.values()) == spool.written
    ours.forget(layout.RECORDS_A_FILE * 2)
    assert ours.oldest() == layout.RECORDS_A_FILE
    ours.forget(spool.written)
    assert ours.oldest() == layout.RECORDS_A_FILE * 2
    serve(spool, layout.RECORDS_A_FILE)  # the file that was given up serves again, and its old records are not believed
    assert not (ours.path / home.SPARE).exists()
    assert roll_up(ours.read(layout.RECORDS_A_FILE * 3, layout.RECORDS_A_FILE * 3 + 9), layout.RECORDS_A_FILE * 3).torn == 4


def test_a_full_disk_loses_records_and_no_call(mine: tuple[Home, Writer], monkeypatch: pytest.MonkeyPatch) -> None:
    ours, spool = mine
    serve(spool, layout.RECORDS_A_FILE)

    def full(*_values: Any) -> None:
        raise OSError(28, "No space left on device")

    lost = metrics.LOST._value.get()
    monkeypatch.setattr(os, "posix_fallocate", full)
    serve(spool, 3)
    assert (spool.written, metrics.LOST._value.get()) == (layout.RECORDS_A_FILE, lost + 3)
    monkeypatch.undo()
    serve(spool)
    assert spool.written == layout.RECORDS_A_FILE + 1
    assert ours.oldest() == 0


def test_a_torn_file_costs_what_it_lacks(mine: tuple[Home, Writer]) -> None:
    ours, spool = mine
    serve(spool, 40)
    path = ours.path / f"{0:020d}"
    data = bytearray(path.read_bytes())
    data[10 * layout.BLOCK + 100:11 * layout.BLOCK] = bytes(28)  # the end of a record never reached the disk
    path.write_bytes(data[:30 * layout.BLOCK])  # nor did the last ten
    deltas = roll_up(ours.read(0, spool.written), 0)
    assert deltas.torn == 11
    assert [counts[0] for counts in deltas.usage.values()] == [29]


def dies_at(line: int, work: Callable[[], object], *functions: Callable[..., Any]) -> bool:
    """Run `work` in a process that is killed at the n-th line of these functions; whether it was."""
    codes = {inspect.unwrap(function).__code__ for function in functions}
    child = os.fork()
    if child == 0:
        left = line

        def trace(frame: FrameType, event: str, _value: object) -> Any:
            nonlocal left
            if frame.f_code not in codes:
                return None
            if event == "line":
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_call_is_booked_once_wherever_its_process_is_killed(tmp_path: Path) -> None:
    """At each line in turn: not yet there, then cut with its tokens so far, then complete; never twice."""

    def work() -> None:
        spool = Writer()
        spool.attach(make_home(tmp_path))
        slot = begin(spool)
        spool.progress(slot, 20)
        spool.close(slot, **DONE)

    seen: list[list[int]] = []
    line, killed = 0, True
    while killed:
        line += 1
        killed = dies_at(line, work, Writer.open, Writer.progress, Writer.close, Writer._append)
        left = claim_dead(tmp_path)
        if left is None:  # it had none yet
            continue
        spool = Writer()
        spool.attach(left)
        spool.cut_open_calls()
        spool.cut_open_calls()  # whoever cuts them may be killed too, and begin again
        seen.append(totals(left, spool)[:6])
        left.remove()
    nothing, cut, done = [0] * 6, [1, 0, 0, 1, 80, 20], [1, 0, 0, 0, 100, 50]
    unread = [1, 0, 0, 1, 0, 0]  # nothing of the answer had come
    assert len(seen) > 20
    assert [state for at, state in enumerate(seen) if state not in seen[:at]] == [nothing, unread, cut, done]
    assert seen == sorted(seen, key=[nothing, unread, cut, done].index)


def test_the_living_are_left_alone(mine: tuple[Home, Writer]) -> None:
    ours, _spool = mine
    assert claim_dead(ours.path.parent) is None


def test_what_is_no_spool_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    foreign = make_home(tmp_path)
    os.pwrite(foreign._lock, b"NEWER007", 0)
    foreign.release()
    assert claim_dead(tmp_path) is None
    assert (tmp_path / "photos").is_dir()
    assert foreign.path.is_dir()


def test_the_rest_of_a_birth_or_a_removal_is_swept(tmp_path: Path) -> None:
    (tmp_path / ("a" * 32)).mkdir()
    half = make_home(tmp_path)
    os.pwrite(half._lock, bytes(8), 0)
    half.release()
    assert claim_dead(tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def used() -> dict[str, int]:
    rows = UsageHour.objects.all()
    return {name: sum(getattr(row, name) for row in rows) for name in ledger.USAGE_COUNTS}


@pytest.fixture
def portal(empty_portal: Path, tmp_path: Path, django_db_blocker: Any) -> Iterator[Path]:
    """A database of its own; its folder."""
    (tmp_path / "portal.sqlite3").write_bytes((empty_portal / "portal.sqlite3").read_bytes())
    with django_db_blocker.unblock(), database(tmp_path):
        yield tmp_path


def test_each_record_counts_once_wherever_the_one_who_books_is_killed(portal: Path) -> None:
    """At each line of the booking and of the transaction around it; another process ends what the dead one began."""
    connection.close()
    spools = portal / "spool"
    steps: list[Callable[..., Any]] = [
        Flusher.adopt, flusher.book, ledger.book, ledger.forget, Home.remove, transaction.Atomic.__exit__]

    def leave_dead() -> None:
        ours = make_home(spools)
        spool = Writer()
        spool.attach(ours)
        serve(spool, 3)
        spool.progress(begin(spool, key_id=6), 4)
        ours.release()

    def adopt() -> None:
        with database(portal):
            Flusher(spools, None, None).adopt()  # type: ignore[arg-type]  # it has no spool of its own

    line, killed = 0, True
    while killed:
        line += 1
        leave_dead()
        killed = dies_at(line, adopt, *steps)
        adopt()
    assert line > 50
    found = used()
    assert (found["requests"], found["partial"], found["completion_tokens"]) == (4 * line, line, (150 + 4) * line)
    assert found["cost_nano"] == line * (3 * NANO + (80 * 0.5 + 4 * 1.5) * 1000)
    assert sum(row.calls for row in TrafficMinute.objects.all()) == 4 * line
    assert [path.name for path in spools.iterdir()] == ["lock"]


def test_a_spool_that_cannot_be_booked_does_not_hold_up_the_others(portal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for _ in range(3):
        ours = make_home(portal / "spool")
        spool = Writer()
        spool.attach(ours)
        serve(spool)
        ours.release()
        names.append(ours.name)
    broken, real = min(names), ledger.book

    def book(name: str, *values: Any) -> bool:
        if name == broken:
            raise DatabaseAway("out of range")
        return real(name, *values)

    monkeypatch.setattr(ledger, "book", book)
    books, _spool = live(portal)
    with pytest.raises(DatabaseAway):
        books.adopt()
    books.adopt()
    assert used()["requests"] == 2
    monkeypatch.undo()
    books.adopt()
    assert used()["requests"] == 3


def live(portal: Path) -> tuple[Flusher, Writer]:
    ours = make_home(portal / "spool")
    spool = Writer()
    spool.attach(ours)
    return Flusher(portal / "spool", ours, spool), spool


def test_usage_waits_while_the_database_is_away(portal: Path) -> None:
    books, spool = live(portal)
    serve(spool, 2)
    books.flush()
    with database(portal / "nowhere"):
        for _ in range(2):
            serve(spool, 3)
            with pytest.raises(DatabaseAway):
                books.flush()
    books.flush()
    books.flush()
    assert used()["requests"] == 8
    row = UsageHour.objects.get()
    assert (row.key_id, row.member_id, row.workspace_id, row.endpoint_id, row.door) == (5, 3, 2, 7, 1)


@pytest.mark.parametrize("happened", [True, False])
def test_a_commit_of_which_nobody_knows_counts_once(portal: Path, monkeypatch: pytest.MonkeyPatch, happened: bool) -> None:
    books, spool = live(portal)
    serve(spool)
    books.flush()
    serve(spool, 4)
    ours: Any = connections["default"]
    real = type(ours)._commit

    def broken(self: Any) -> None:
        if happened:
            real(self)
        raise OperationalError("the server has gone away")

    monkeypatch.setattr(type(ours), "_commit", broken)
    with pytest.raises(DatabaseAway):
        books.flush()
    monkeypatch.undo()
    books.flush()
    assert used()["requests"] == 5


def test_a_database_from_a_backup_goes_on_with_what_is_still_there(portal: Path) -> None:
    books, spool = live(portal)
    serve(spool, layout.RECORDS_A_FILE + 10)
    books.flush()
    SpoolPosition.objects.update(position=3)
    books._booked = -1
    serve(spool, 2)
    books.flush()
    assert SpoolPosition.objects.get().position == spool.written


@pytest.mark.django_db(transaction=True)
@pytest.mark.both_databases
def test_a_spool_books_by_itself_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flusher, "FLUSH_SECONDS", 0.02)

    async def run() -> None:
        spool = Spool(tmp_path)
        await spool.start()
        await spool.start()
        for door in (1, 1, 2):
            spool.close(begin(spool, door=door), **DONE)
        await asyncio.to_thread(eventually, lambda: UsageHour.objects.count() == 2, 10)
        spool.refused(**WHO, status=429)
        begin(spool)
        await spool.stop()

    asyncio.run(run())
    found = used()
    assert (found["requests"], found["refused"], found["partial"], found["cost_nano"]) == (4, 1, 1, 3 * NANO)
    minutes = list(TrafficMinute.objects.all())
    assert sum(row.calls for row in minutes) == 4
    assert sum(row.first_byte_1 for row in minutes) == 3  # 25 to 50 ms
    assert SpoolPosition.objects.count() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.both_databases
def test_gateways_that_book_at_once_count_everything(tmp_path: Path) -> None:
    """Four of them, the same rows, again and again; whoever is refused by the database comes again."""

    def work(number: int) -> None:
        books, spool = live(tmp_path)
        for _ in range(10):
            for key in (1, 2, 3):
                spool.close(begin(spool, key_id=key, endpoint_id=10 - key), **DONE)
            with contextlib.suppress(DatabaseAway):
                books.flush()
        eventually(lambda: _flushed(books), 20)
        connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert used()["requests"] == 4 * 10 * 3
    assert used()["cost_nano"] == 4 * 10 * 3 * NANO
    assert sum(row.calls for row in TrafficMinute.objects.all()) == 4 * 10 * 3


def _flushed(books: Flusher) -> bool:
    try:
        books.flush()
    except DatabaseAway:
        return False
    return True


@pytest.mark.django_db
@pytest.mark.both_databases
def test_names_are_those_of_the_row_that_was_called(tmp_path: Path, world_of_names: dict[str, Any]) -> None:
    books, spool = live(tmp_path)
    for route_id in (0, world_of_names["route"]):
        spool.close(begin(spool, **{**world_of_names["who"], "route_id": route_id}), **DONE)
    spool.close(begin(spool, **dict.fromkeys(("key_id", "member_id", "workspace_id", "endpoint_id"), 10**9)), **DONE)
    books.flush()
    rows = {(row.workspace_name, row.member_name, row.key_name, row.endpoint_name, row.model_name)
            for row in UsageHour.objects.all()}
    assert rows == {("alpha", "alice", "first", "chat", "acme/chat"), ("alpha", "alice", "first", "chat", "assistant"),
                    ("", "", "", "", "")}


@pytest.fixture
def world_of_names(db: None) -> dict[str, Any]:
    from endpoints.models import Endpoint, Route
    from portal.tenancy.models import ApiKey
    from tests.cast import make_cast, make_cluster

    cast = make_cast()
    key = ApiKey(workspace=cast.alpha, created_by=cast.alice, name="first")
    key.draw_secret()
    key.save()
    endpoint = Endpoint.objects.create(workspace=cast.alpha, cluster=make_cluster(), name="chat", public_name="acme/chat",
                                       public_key="acme/chat")
    route = Route.objects.create(workspace=cast.alpha, public_name="assistant", public_key="assistant")
    return {"route": route.pk, "who": {"key_id": key.pk, "member_id": cast.alice.pk, "workspace_id": cast.alpha.pk,
                                       "endpoint_id": endpoint.pk}}


def test_a_call_costs_the_gateway_little(mine: tuple[Home, Writer]) -> None:
    """1.3 µs were measured; the limit only catches what costs several times as much, on any machine."""
    _ours, spool = mine
    serve(spool, 100)
    began = time.thread_time()
    serve(spool, 5_000)
    assert (time.thread_time() - began) / 5_000 < 20e-6
