"""Tries are counted in the database, in a window that slides."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from portal.tenancy import tries
from portal.tenancy.errors import TooMany
from portal.tenancy.models import Try

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
NOW = timezone.now()
RULE = tries.Rule("password", "alice from 192.0.2.1", 3, 300)


def at(seconds: float) -> list[int]:
    return tries.note([RULE], NOW + timedelta(seconds=seconds))


def test_the_window_slides_and_says_how_long_to_wait() -> None:
    for second in (0, 10, 20):
        at(second)
    with pytest.raises(TooMany) as caught:
        at(30)
    assert (caught.value.status, caught.value.retry_after) == (429, 270)
    assert "5 minutes" in caught.value.message
    at(301)
    with pytest.raises(TooMany):
        at(302)


def test_a_refused_try_is_not_counted() -> None:
    for second in (0, 1, 2):
        at(second)
    for _ in range(20):
        with pytest.raises(TooMany):
            at(200)
    assert Try.objects.count() == 3
    at(301)


def test_one_rule_that_refuses_refuses_all() -> None:
    other = tries.Rule("password", "alice", 1, 300)
    tries.note([RULE, other], NOW)
    with pytest.raises(TooMany):
        tries.note([RULE, other], NOW)
    assert Try.objects.filter(subject=RULE.subject).count() == 1


def test_a_right_try_is_taken_back() -> None:
    for _ in range(10):
        tries.take_back(at(0))
    assert not Try.objects.exists()


def test_what_happened_is_kept_in_mind_for_its_time() -> None:
    assert not tries.has(RULE, NOW)
    for _ in range(2):
        tries.mark(RULE, NOW)
    assert Try.objects.count() == 1
    assert tries.has(RULE, NOW + timedelta(seconds=299))
    assert not tries.has(RULE, NOW + timedelta(seconds=301))


def test_subjects_name_nobody() -> None:
    at(0)
    assert "alice" not in str(Try.objects.values().get())


def test_old_tries_are_forgotten() -> None:
    at(0)
    assert tries.forget_old(NOW + timedelta(hours=23)) == 0
    assert tries.forget_old(NOW + timedelta(hours=25)) == 1
