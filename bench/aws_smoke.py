"""What only a real AWS account can show, step by step: ``python bench/aws_smoke.py --region us-west-2``.

Dry by default: it signs in as this machine (environment, profile or role), lists what is there, reads the hub, asks each
HyperPod cluster's Kubernetes, and says what ``--act`` would do and cost; nothing is changed. With ``--act`` and the sum
typed in, the portal deploys one small SageMaker endpoint, calls it, streams from it and deletes it again, and the price
goes on your account until the last step says that it is gone. It works on a database of its own in a temporary folder.

    --execution-role ARN   the role of the endpoint (with --act)
    --model s3://… or ID   weights: a prefix in S3, or a model of the Hugging Face hub
    --instance-type        ml.g5.xlarge by default
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts" / "bootstrap")]

import secrets_file  # noqa: E402 - only found by the path above

DEADLINE, PAUSE = 45 * 60.0, 10.0
HOURS = 1.0  # what is reckoned for: AWS bills by the second, an hour is a cautious bound
failures: list[str] = []


def step(name: str, act: Callable[[], Any]) -> Any:
    """Run one step and say how it went; what it returns, or None."""
    from clusters.drivers.aws import AwsError
    from endpoints.targets.base import TargetError
    from portal.tenancy.errors import PortalError

    began = time.monotonic()
    try:
        found = act()
    except (AwsError, PortalError, TargetError) as error:
        failures.append(name)
        print(f"  FAILED  {name}: {error.message}")
        return None
    said = found if isinstance(found, str) else ""
    print(f"  ok      {name} ({time.monotonic() - began:.1f} s) {said}")
    return found


def set_up(folder: str) -> None:
    """A portal on a new SQLite file, with the shelf filled."""
    os.environ |= {"PORTAL_DATA_DIR": folder, "CELERY_BROKER_URL": "memory://", "DJANGO_SETTINGS_MODULE": "portal.settings"}
    secrets_file.make(Path(folder))
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    call_command("load_catalogue", verbosity=0)


def account_of(region: str) -> Any:
    from clusters.models import AwsAccount

    return AwsAccount.objects.create(name="smoke", region=region, sign_in="machine")


def look(account: Any, region: str) -> None:
    """The dry part: every kind of call that changes nothing."""
    from clusters import services as places
    from clusters.drivers.aws import aws_for
    from models_catalog import services as catalogue
    from portal.tenancy.actor import PORTAL

    aws = aws_for(account, region)
    step("sign in", lambda: "{} as {}".format(*aws.whoami()))
    step("list SageMaker endpoints", lambda: f"{len(list(aws.pages('sagemaker', 'list_endpoints', 'Endpoints')))} there")
    step("browse JumpStart", lambda: f"{len(catalogue.browse(account, region, text='llama').items)} models on the first page")
    for one in step("discover HyperPod clusters", lambda: places.discover(PORTAL, account, region)) or ():
        name = one.cluster.name
        print(f"          {name}: {one.cluster.status} {one.why_not}")
        if one.can_import:
            step(f"ask {name}'s Kubernetes", lambda name=name: kubernetes_of(account, region, name))  # type: ignore[misc]


def kubernetes_of(account: Any, region: str, name: str) -> str:
    """Import the cluster into the portal's own database and test the connection, by an EKS token."""
    from clusters import services as places
    from portal.tenancy.actor import PORTAL

    place = places.import_hyperpod(PORTAL, account, region, name)
    found = places.check_access(place)
    missing = ", ".join(f"{right['verb']} {right['resource']}" for right in found.missing_rights[:5])
    operator = "with" if found.capabilities.get("hyperpod", {}).get("found") else "WITHOUT"
    return f"{found.reach} {found.version} as {found.user}, {operator} the inference operator" + (
        f"; missing rights: {missing}" if missing else "")


def told_cost(wanted: argparse.Namespace) -> str:
    """What acting costs at most, as a sentence with the word to type."""
    from clusters.instances import hourly_cost

    cost = hourly_cost(wanted.instance_type, wanted.region, 1)
    if cost is None:
        return f"1 × {wanted.instance_type}: the price book has no price for {wanted.region}; look it up before you act."
    return f"{cost.sentence} Up to {HOURS:g} hour: {cost.per_hour * int(HOURS):.2f} {cost.currency}."


def act(account: Any, wanted: argparse.Namespace) -> None:
    """Deploy, call, stream and delete one endpoint with the portal's own services."""
    from endpoints import services

    endpoint = step("wish an endpoint", lambda: wished(account, wanted))
    if endpoint is None:
        return
    try:
        if step("deploy", lambda: until(endpoint, ("INSERVICE",), ("FAILED", "STALLED"))):
            door = gateway()
            step("call", lambda: called(endpoint, door, stream=False))
            step("stream", lambda: called(endpoint, door, stream=True))
            step("figures", lambda: str(services.measures(endpoint)))
    finally:
        from portal.tenancy.actor import PORTAL

        services.delete(PORTAL, services_row(endpoint))
        step("delete, until nothing is left", lambda: until(endpoint, ("GONE",), ()))


def wished(account: Any, wanted: argparse.Namespace) -> Any:
    from clusters.models import AwsPlace, Cluster
    from endpoints import services
    from endpoints.hub.schemas import DeployIn
    from portal.tenancy.actor import PORTAL
    from portal.tenancy.models import Workspace

    place = Cluster.objects.create(name="smoke", kind="sagemaker")
    AwsPlace.objects.create(cluster=place, account=account, region=wanted.region, execution_role=wanted.execution_role)
    workspace = Workspace.objects.create(slug="smoke", name="Smoke")
    in_s3 = wanted.model.startswith("s3://")
    source = {"extra_params": {"s3_model_path": wanted.model}} if in_s3 else {"model_name": wanted.model}
    return services.deploy_hub(PORTAL, workspace, DeployIn(engine="vllm", instance_type=wanted.instance_type, **source))


def services_row(endpoint: Any) -> Any:
    from endpoints.models import Endpoint

    return Endpoint.objects.select_related("workspace", "cluster").get(pk=endpoint.pk)


def until(endpoint: Any, good: tuple[str, ...], bad: tuple[str, ...]) -> str:
    """Step by step as the keeper does it, each change of status on a line. Raises TargetError after DEADLINE or for `bad`."""
    from endpoints.models import Endpoint
    from endpoints.services import reconcile
    from endpoints.states import Cause
    from endpoints.targets.base import TargetError

    end, last = time.monotonic() + DEADLINE, ""
    while time.monotonic() < end:
        reconcile(endpoint.pk)
        row = Endpoint.objects.filter(pk=endpoint.pk).first()
        status, message = (row.status, row.message) if row else ("GONE", "")
        if status != last:
            print(f"          {time.strftime('%H:%M:%S')} {status} {message}")
            last = status
        if status in good:
            return status
        if status in bad:
            raise TargetError(Cause.ERROR, message)
        time.sleep(PAUSE)
    raise TargetError(Cause.DEADLINE, f"not {good[0]} within {DEADLINE / 60:.0f} minutes")


def gateway() -> tuple[str, str]:
    """The portal's gateway on a free port of this machine, and a key that may call."""
    import uvicorn

    from endpoints.gateway.asgi import application
    from portal.tenancy.actor import Actor
    from portal.tenancy.models import Membership, User, Workspace
    from portal.tenancy.services import create_key

    user, workspace = User.objects.create_user("smoke"), Workspace.objects.get(slug="smoke")
    Membership.objects.create(user=user, workspace=workspace, role="owner")
    key = create_key(Actor(user=user), workspace, name="smoke", scopes=["inference"])[1]
    server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=0, log_level="error"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", key


def called(endpoint: Any, door: tuple[str, str], *, stream: bool) -> str:
    """One call through the gateway, as a program makes it; what came back, in short. Raises TargetError."""
    from endpoints.states import Cause
    from endpoints.targets.base import TargetError

    body = {"model": endpoint.public_name, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 20,
            "stream": stream}
    request = urllib.request.Request(f"{door[0]}/v1/chat/completions", json.dumps(body).encode(), {
        "Authorization": f"Bearer {door[1]}", "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        raise TargetError(Cause.ERROR, error.read(2000).decode(errors="replace")) from None
    if not stream:
        return json.loads(text)["choices"][0]["message"]["content"][:100]  # type: ignore[no-any-return]
    if "[DONE]" not in text:
        raise TargetError(Cause.ERROR, "the stream did not end with [DONE]")
    return f"{text.count('data: ') - 1} chunks"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--region", required=True)
    parser.add_argument("--act", action="store_true", help="deploy, call and delete an endpoint; costs money")
    parser.add_argument("--yes", action="store_true", help="don't ask: for machines that have been asked before")
    parser.add_argument("--execution-role", default="")
    parser.add_argument("--model", default="Qwen/Qwen3-0.6B")
    parser.add_argument("--instance-type", default="ml.g5.xlarge")
    return parser.parse_args()


def main() -> int:
    wanted = arguments()
    with tempfile.TemporaryDirectory(prefix="portal-smoke-") as folder:
        set_up(folder)
        account = account_of(wanted.region)
        print("Looking; nothing is changed.")
        look(account, wanted.region)
        print(f"\nActing would cost: {told_cost(wanted)}")
        if not wanted.act:
            print("Nothing was changed. Run it with --act --execution-role ARN to deploy, call and delete one endpoint.")
        elif not wanted.execution_role:
            failures.append("--act needs --execution-role")
            print("  FAILED  --act needs --execution-role: the role that the endpoint runs as.")
        elif wanted.yes or input("Type “spend” to go on: ") == "spend":
            act(account, wanted)
    print("\nFailed: " + ", ".join(failures) if failures else "\nAll steps went well.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
