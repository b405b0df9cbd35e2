"""Idempotency-Key: one object for any number of repeats, and no plain secret in the store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from portal.tenancy import idempotency
from portal.tenancy.errors import Conflict, Invalid
from portal.tenancy.idempotency import Answer, once
from portal.tenancy.models import IdempotentCall, Workspace

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def make(name: str = "one") -> Answer:
    row = Workspace.objects.create(name=name, slug=name)
    return Answer(201, {"id": row.pk})


def call(key: str = "k", body: bytes = b"{}", name: str = "one", *, secret: bool = False) -> Answer:
    return once(scope="s", key=key, body=body, make=lambda: make(name), secret=secret)


def test_the_second_call_gets_the_first_answer() -> None:
    assert call() == call(name="two")
    assert Workspace.objects.count() == 1


def test_without_a_key_each_call_makes_its_own() -> None:
    assert call("") != call("", name="two")


def test_another_body_under_the_same_key_is_refused() -> None:
    call()
    with pytest.raises(Conflict) as refused:
        call(body=b'{"x":1}')
    assert refused.value.code == "idempotency_mismatch"


def test_a_refused_or_crashed_call_leaves_nothing_behind() -> None:
    for error in (Invalid("no"), RuntimeError("crash")):
        def fail(error: Exception = error) -> Answer:
            Workspace.objects.create(name="half", slug="half")
            raise error

        with pytest.raises(type(error)):
            once(scope="s", key="k", body=b"{}", make=fail)
        assert not IdempotentCall.objects.exists()
        assert not Workspace.objects.exists()
    assert call().status == 201


def test_a_secret_answer_is_stored_encrypted_and_bound_to_its_key() -> None:
    given = once(scope="s", key="k", body=b"", make=lambda: Answer(201, {"key": "sk-canary"}), secret=True)
    row = IdempotentCall.objects.get()
    assert "canary" not in str(row.body)
    assert once(scope="s", key="k", body=b"", make=make, secret=True) == given
    IdempotentCall.objects.update(key="moved")
    with pytest.raises(Exception, match="can't be read"):
        once(scope="s", key="moved", body=b"", make=make, secret=True)


def test_old_answers_are_forgotten() -> None:
    call("old")
    call("new", name="two")
    IdempotentCall.objects.filter(key="old").update(created_at=timezone.now() - timedelta(hours=49))
    assert idempotency.forget_old() == 1
    assert IdempotentCall.objects.get().key == "new"


@pytest.mark.django_db(transaction=True)
def test_twenty_parallel_calls_make_one_object_and_get_one_answer() -> None:
    def repeat(_number: int) -> Answer:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(repeat, range(20)))
    assert Workspace.objects.count() == 1
    assert {answer.body["id"] for answer in answers} == {Workspace.objects.get().pk}
