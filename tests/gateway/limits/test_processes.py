"""Limits are exact over eight real processes that call at the same time, and heal when one of them is killed."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.gateway.limits.caller import Where, crowd
from tests.gateway.server import eventually


def test_fifty_callers_in_one_process_at_a_limit_of_five_get_five(in_redis: Where) -> None:
    with crowd(in_redis, 1, concurrent_requests=5) as callers:
        assert callers.call(50) == [5]
        callers.settle()
        assert callers.call(50) == [5]


def test_eight_processes_hold_exactly_the_limit_at_a_time(in_redis: Where) -> None:
    with crowd(in_redis, 8, concurrent_requests=5) as callers:
        for _ in range(3):
            assert sum(callers.call(50)) == 5
            callers.settle()


@pytest.mark.parametrize("limit", [37, 1000])
def test_eight_processes_begin_exactly_the_limit_a_minute(in_redis: Where, limit: int) -> None:
    with crowd(in_redis, 8, requests_per_minute=limit) as callers:
        begun = sum(callers.call(limit // 4))
        callers.settle()
        assert begun + sum(callers.call(limit // 4)) == limit
        assert sum(callers.call(3)) == 0


def test_eight_processes_reserve_exactly_the_tokens_and_get_back_what_they_do_not_use(in_redis: Where) -> None:
    with crowd(in_redis, 8, tokens_per_minute=1000) as callers:
        assert sum(callers.call(20, new=99)) == 10
        callers.settle(used=50)  # of the 100 that each had reserved
        assert sum(callers.call(20, new=49)) == 10


@pytest.mark.parametrize("limit", [64, 1000])
def test_bursts_of_any_size_are_admitted_as_far_as_there_is_room_and_not_further(in_redis: Where, limit: int) -> None:
    drawn, held = random.Random(limit), 0
    with crowd(in_redis, 8, concurrent_requests=limit) as callers:
        for _ in range(10):
            each = drawn.choice([1, 3, 10, 60, limit // 4 + 1])
            room = limit - held
            admitted = sum(callers.call(each))
            assert admitted == min(8 * each, room)
            held += admitted
            if drawn.random() < 0.5:
                callers.settle()
                held = 0


@pytest.mark.both_databases
def test_the_database_counts_as_exactly_as_redis(in_database: Where) -> None:
    with crowd(in_database, 4, concurrent_requests=5, requests_per_minute=12) as callers:
        assert sum(callers.call(20)) == 5
        callers.settle()
        assert sum(callers.call(20)) == 5
        callers.settle()
        assert sum(callers.call(20)) == 2


def test_what_a_killed_process_held_comes_back(in_redis: Where) -> None:
    with crowd(replace(in_redis, lease_seconds=2.0), 2, concurrent_requests=5) as callers:
        lost, kept = callers.call(3)
        assert lost + kept == 5
        callers.kill(0)
        assert eventually(lambda: sum(callers.call(5)), 15) == lost
        assert sum(callers.call(5)) == 0
        callers.settle()
        assert sum(callers.call(9)) == 5
