"""Threads of one worker that call their first cluster at the same moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
