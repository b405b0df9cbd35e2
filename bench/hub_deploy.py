"""How long document 000's deploy call takes: ``python bench/hub_deploy.py [--calls 50]``; limit 100 ms.

The form of the document with a name of its own each time, by key, through Django's whole stack on SQLite, after some
calls that load what a fresh process has not loaded yet. A call for weights that are not on the shelf makes the
workspace's model and profile too; those are shown apart.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts" / "bootstrap")]

import secrets_file  # noqa: E402 - only found by the path above

LIMIT_MS, WARM = 100.0, 3
FORM: dict[str, Any] = {
    "deployment_target": "hyperpod", "hyperpod_cluster_id": "cluster-xxx",
    "hyperpod_config": {"replicas": 1, "namespace": "default"}, "model_name": "meta-llama/Llama-3-8B",
    "instance_type": "ml.g5.xlarge", "engine": "vllm", "job_id": "N/A(Not finetuned)",
}


def set_up(folder: Path) -> str:
    """A portal with the shelf, a HyperPod cluster that AWS calls InService, and a key; the key's text."""
    os.environ |= {"PORTAL_DATA_DIR": str(folder), "CELERY_BROKER_URL": "memory://", "PORTAL_ALLOWED_HOSTS": "testserver",
                   "DJANGO_SETTINGS_MODULE": "portal.settings"}
    secrets_file.make(folder)
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    call_command("load_catalogue", verbosity=0)
    from clusters.models import AwsAccount, AwsPlace, Cluster
    from portal.tenancy.actor import Actor
    from portal.tenancy.models import Membership, User, Workspace
    from portal.tenancy.services import create_key

    place = Cluster.objects.create(name="cluster-xxx", kind="hyperpod")
    account = AwsAccount.objects.create(name="aws", region="us-west-2")
    AwsPlace.objects.create(cluster=place, account=account, region="us-west-2", status="InService")
    user, workspace = User.objects.create_user("bench"), Workspace.objects.create(slug="bench", name="Bench")
    Membership.objects.create(user=user, workspace=workspace, role="owner")
    return create_key(Actor(user=user), workspace, name="bench", scopes=["read", "deploy", "manage"])[1]


def call(client: Any, number: int, path: str) -> float:
    """Milliseconds of one call that was taken."""
    body = {**FORM, "extra_params": {"s3_model_path": path, "endpoint_name": f"bench-{number}"}}
    began = time.perf_counter()
    answer = client.post("/v1/deploy_endpoint", json.dumps(body), content_type="application/json")
    took = (time.perf_counter() - began) * 1000
    assert answer.json()["response"]["result"] is True, answer.content
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=50)
    calls = parser.parse_args().calls
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        key = set_up(Path(folder))
        from django.test import Client

        client = Client(headers={"Authorization": f"Bearer {key}"})
        warm = [call(client, number, "s3://bucket/model") for number in range(WARM)]
        numbers = range(WARM, WARM + calls)
        known = [call(client, number, "s3://bucket/model") for number in numbers]
        new = [call(client, calls + number, f"s3://bucket/model-{number}") for number in numbers]
    print(f"first call of a fresh process {warm[0]:.0f} ms")
    return 1 if report("weights on the shelf", known) + report("new weights", new) else 0


def report(name: str, took: list[float]) -> bool:
    """Print a line; whether the limit was missed."""
    late = sorted(took)[int(len(took) * 0.95)]
    print(f"{name:<24} p50 {statistics.median(took):.0f} ms   p95 {late:.0f} ms   (limit {LIMIT_MS:.0f} ms)")
    return late >= LIMIT_MS


if __name__ == "__main__":
    sys.exit(main())
