"""Threads of one worker that call clusters at the same moment: the first time, and one that says nothing."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from clusters.drivers.breaker import MOST_WAITING, SILENT_SECONDS, Breaker
from clusters.drivers.kube import KubeError, Problem

RIGHT = ("list", "pods", "")
# They come one by one while the first is still importing the client package.
FIRST_CALLS = """
import threading, time, django
django.setup()
from clusters.drivers import kube

def first_call(number):
    time.sleep(number / 100)
    kube._manager("localhost", None)
    made.append(number)

made = []
threads = [threading.Thread(target=first_call, args=(number,)) for number in range(100)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(made))
"""


def test_the_first_calls_of_many_threads_all_find_a_whole_client() -> None:
    root = Path(__file__).resolve().parents[2]
    argv = [sys.executable, "-c", FIRST_CALLS]
    ran = subprocess.run(argv, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert (ran.stdout.strip(), ran.returncode) == ("100", 0), ran.stderr[-2000:]


@pytest.mark.parametrize(("calls", "seconds", "may"), [
    (MOST_WAITING, SILENT_SECONDS - 0.1, True), (MOST_WAITING - 1, 10 * SILENT_SECONDS, True),
    (MOST_WAITING, SILENT_SECONDS, False), (MOST_WAITING + 1, 10 * SILENT_SECONDS, False),
])
def test_a_silent_cluster_holds_few_threads(calls: int, seconds: float, may: bool) -> None:
    now = 1000.0
    breaker = Breaker(lambda: now)
    with ExitStack() as waiting:
        for _ in range(calls):
            waiting.enter_context(breaker.waiting())
        now += seconds
        if may:
            assert not breaker.admit(RIGHT)
        else:
            with pytest.raises(KubeError) as raised:
                breaker.admit(RIGHT)
            assert raised.value.problem == Problem.UNREACHABLE
            assert raised.value.is_of_the_cluster
    assert not breaker.admit(RIGHT)
