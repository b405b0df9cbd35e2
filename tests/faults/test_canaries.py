"""Secrets are planted in a running portal, then every file that it wrote is searched for them (T36)."""

from __future__ import annotations

from pathlib import Path

import httpx2 as httpx
import pytest

from clusters.models import AwsAccount, Cluster
from clusters.services import make_enrolment_token
from clusters.states import SignIn
from models_catalog.models import Artifact
from portal.tenancy.models import Heartbeat
from tests.faults.processes import Processes, World, eventually
from tests.portal.apiclient import key_text

pytestmark = pytest.mark.slow
TOKEN = "hf_canaryOfTheArtifact0123456789"
PASSWORD = "canary-Password-of-nobody"
AWS_SECRET = "canaryOfAnAwsAccount/0123456789ABCDEFGHI"
TYPED = "sk-" + "c" * 16 + "-" + "canaryOfAKeyThatWasTypedWrongly0123456789AB"


def written(folder: Path) -> dict[str, bytes]:
    """Every file below the portal's data folder; the static files are linked in and hold nothing of it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and "static" not in path.relative_to(folder).parts}


def test_no_file_of_a_running_portal_holds_a_secret(portal: Processes, world: World) -> None:
    owner = key_text(world.cast.alice, world.cast.alpha)
    enrolment = make_enrolment_token(world.cast.actor("operator"), Cluster.objects.get())[1]
    Artifact.objects.get().model.__class__.objects.update(workspace=world.cast.alpha)
    account = AwsAccount(name="canary", sign_in=SignIn.KEYS, access_key_id="AKIAOFNOBODY00000000")
    account.put_secret("secret_access_key", AWS_SECRET)
    account.save()
    portal.serve()
    headers = {"authorization": f"Bearer {owner}"}
    with httpx.Client(base_url=portal.web.url, headers=headers, timeout=30) as caller:
        made = caller.post("/api/v1/workspaces/alpha/keys", json={"name": "ci", "scopes": ["read"]},
                           headers={"Idempotency-Key": "one"})
        assert made.status_code == 201, made.text
        artifact = Artifact.objects.get()
        put = caller.put(f"/api/v1/models/{artifact.model.slug}/artifacts/{artifact.uid}/token", json={"token": TOKEN})
        assert put.status_code in (200, 204), put.text
        assert caller.get(f"/api/v1/workspaces?api_key={owner}&token={TYPED}").status_code == 422
        assert caller.post("/v1/chat/completions", json={"model": "x", "messages": []}).status_code in (403, 404)
        assert caller.get(f"/v1/models?key={TYPED}", headers={"authorization": f"Bearer {TYPED}"}).status_code == 401
        assert caller.post("/api/v1/endpoints", json={"workspace": TYPED, "password": PASSWORD}).status_code == 422
        assert caller.post("/account/login/", data={"login": "alice", "password": PASSWORD}).status_code == 403
    assert portal.deploy(world, "chat").status_code == 202
    portal.worker()
    portal.beat()
    eventually(lambda: Heartbeat.objects.filter(name="sweep").exists(), 40)
    secrets = [owner, world.key, made.json()["key"], enrolment, TYPED]
    planted = [text.split("-", 2)[2] if text.startswith("sk-") else text for text in secrets] + [TOKEN, PASSWORD, AWS_SECRET]
    files = written(portal.folder)
    assert {"server.log", "portal.sqlite3"} <= set(files)
    found = [(name, text[:12]) for name, data in files.items() for text in planted if text.encode() in data]
    assert found == []
    assert b"alpha" in files["portal.sqlite3"] + files.get("portal.sqlite3-wal", b""), "the search can find what is there"


def test_no_process_shows_a_secret_in_its_command(portal: Processes, world: World) -> None:
    portal.serve()
    worker = portal.worker()
    assert portal.web.process is not None
    for pid in (portal.web.process.pid, worker.pid):
        words = Path(f"/proc/{pid}/cmdline").read_text()
        assert not [secret for secret in (world.key, "PORTAL_SECRET", "FIELD_KEY") if secret in words]
