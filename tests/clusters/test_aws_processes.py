"""What the door to AWS costs a process that doesn't use it, and what threads and children of one that does may meet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

UNUSED = """
import sys, django
django.setup()
import portal.urls, endpoints.gateway.asgi, clusters.drivers.aws, clusters.drivers.eks
print(sorted({name.partition(".")[0] for name in sys.modules} & {"botocore", "boto3", "s3transfer"}))
"""
# They come one by one while the first is still importing the package.
FIRST_CALLS = """
import threading, time, django
django.setup()
from clusters.drivers import aws_sdk

def first_call(number):
    time.sleep(number / 500)
    session = aws_sdk.session_with(aws_sdk.keys("AKIACANARY0000000001", "x"))
    made.append(aws_sdk.client_of(session, "sts", "us-east-1", "http://127.0.0.1:1"))

made = []
threads = [threading.Thread(target=first_call, args=(number,)) for number in range(40)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(made))
"""
FORKED = """
import os, django
django.setup()
from clusters.drivers import aws
from clusters.models import AwsAccount
account = AwsAccount(pk=1, region="us-east-1", sign_in="keys", access_key_id="AKIACANARY0000000001")
first = aws.aws_for(account)
child = os.fork()
if not child:
    os._exit(0 if aws.aws_for(account) is not first else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), aws.aws_for(account) is first)
"""


def printed_by(script: str) -> str:
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout.strip()


def test_a_process_that_never_asks_aws_does_not_load_its_sdk() -> None:
    assert printed_by(UNUSED) == "[]"


def test_the_first_calls_of_many_threads_all_find_a_whole_sdk() -> None:
    assert printed_by(FIRST_CALLS) == "40"


def test_a_forked_child_shares_no_connection_with_its_parent() -> None:
    assert printed_by(FORKED) == "0 True"
