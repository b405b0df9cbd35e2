"""Signs of life: health pages, metrics, and doctor's report of an installation that is wrong."""

from __future__ import annotations

import base64
import os
import socket
import sys
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone
from pytest_django import Settings

from portal import doctor, health
from portal.tenancy import heartbeat
from portal.tenancy.models import Heartbeat, Instance
from tests.cast import Cast, make_cluster, make_host
from tests.portal.apiclient import Api


def test_healthz_asks_no_database(django_assert_num_queries: Any, db: None) -> None:
    with django_assert_num_queries(0):
        response = Api().get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")
    assert "sessionid" not in response.cookies


def ready(query: str = "") -> tuple[int, dict[str, Any]]:
    response = Api().get(f"/readyz{query}")
    return response.status_code, response.json()


def test_readyz_is_ready_and_warns_of_what_is_late(db: None) -> None:
    status, body = ready()
    assert (status, body["reasons"]) == (200, [])
    assert "sweep" in body["warnings"][0]
    heartbeat.mark("sweep", seconds=0.1)
    assert ready() == (200, {"status": "ready", "reasons": [], "warnings": []})
    Heartbeat.objects.update(at=timezone.now() - timedelta(minutes=2))
    assert ready("?strict=1")[0] == 503


def test_readyz_says_that_migrations_are_missing(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.db.migrations.executor.MigrationExecutor.migration_plan", lambda *_args: [1, 2])
    status, body = ready()
    assert (status, body["reasons"]) == (503, ["2 migrations are not applied."])


def test_readyz_says_that_the_database_is_away(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> str:
        raise OperationalError(2002, "Can't connect to db.internal")

    monkeypatch.setattr(health, "wrong_keys", away)
    status, body = ready()
    assert (status, body["reasons"]) == (503, ["The database does not answer."])


def test_readyz_says_that_the_field_keys_are_wrong(db: None, settings: Settings) -> None:
    Instance.check_keys()
    settings.PORTAL_FIELD_KEYS = [base64.urlsafe_b64encode(os.urandom(32)).decode()]
    status, body = ready()
    assert status == 503
    assert "field keys" in body["reasons"][0]


def test_readyz_warns_of_a_broker_that_is_away(db: None, settings: Settings, tmp_path: Path) -> None:
    heartbeat.mark("sweep")
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"data_folder_out": str(tmp_path / "gone")}
    assert ready()[1]["warnings"] == ["The broker's folder is missing."]


def test_metrics_count_rows_by_state(cast: Cast) -> None:
    make_host(make_cluster())
    heartbeat.mark("sweep", seconds=0.25, lag=1.5)
    text = Api().get("/metrics").content.decode()
    assert 'portal_hosts{state="READY"} 1.0' in text
    assert 'portal_endpoints{status="INSERVICE"} 0.0' in text
    assert 'portal_job_seconds{job="sweep"} 0.25' in text
    assert 'portal_job_lag_seconds{job="sweep"} 1.5' in text
    assert "python_info" in text


def test_metrics_cost_four_queries(cast: Cast, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(4):
        Api().get("/metrics")


def test_metrics_are_for_this_machine_the_token_and_operators(cast: Cast, settings: Settings) -> None:
    settings.PORTAL_METRICS_TOKEN = "metrics-secret"

    def status(api: Api, address: str = "192.0.2.7", **headers: str) -> int:
        return api.client.get("/metrics", headers={**api.headers, **headers}, REMOTE_ADDR=address).status_code

    assert status(Api(), "127.0.0.1") == 200
    assert status(Api(), "::1") == 200
    assert status(Api(), "127.0.0.1", **{"X-Forwarded-For": "192.0.2.7"}) == 401
    assert status(Api()) == 401
    assert status(Api(), Authorization="Bearer metrics-secret") == 200
    assert status(Api(), Authorization="Bearer wrong") == 401
    assert status(Api(cast.operator)) == 200
    assert status(Api(cast.alice)) == 401
    settings.PORTAL_METRICS_TOKEN = ""
    assert status(Api(), Authorization="Bearer ") == 401


@pytest.fixture
def installation(db: None, settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """A data folder with one engine and private secrets, and a port on which nobody listens."""
    settings.DATA_DIR, settings.PORTAL_ENGINES_DIR = tmp_path, tmp_path / "engines"
    (tmp_path / "engines" / "vllm-cpu-1" / "bin").mkdir(parents=True)
    (tmp_path / "engines" / "vllm-cpu-1" / "bin" / "python").touch()
    (tmp_path / "secrets.env").write_text("PORTAL_SECRET_KEY=canary\n")
    (tmp_path / "secrets.env").chmod(0o600)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings.PORTAL_PORT = taken.getsockname()[1]
        yield tmp_path


def findings() -> dict[str, doctor.Finding]:
    return {finding.name: finding for finding in doctor.examine()}


def report() -> tuple[str, str]:
    out = StringIO()
    try:
        call_command("doctor", stdout=out)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), ""


def test_doctor_finds_a_sound_installation_sound(installation: Path, cast: Cast) -> None:
    heartbeat.mark("sweep")
    make_host(make_cluster())
    text, error = report()
    assert error == "", text
    assert text.endswith("No faults.\n")
    assert "canary" not in text


def test_doctor_counts_faults_and_says_what_to_do(installation: Path) -> None:
    (installation / "secrets.env").chmod(0o644)
    text, error = report()
    assert error == "3 faults."
    assert "chmod 600" in text
    assert "createsuperuser" in text
    assert {name for name, finding in findings().items() if finding.state == "fault"} == {"secrets", "operator", "workers"}


def test_doctor_finds_a_stranger_on_the_port(installation: Path, cast: Cast, settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.settimeout(5)
        settings.PORTAL_PORT = stranger.getsockname()[1]
        settings.PORTAL_BIND = "127.0.0.1"
        found = {finding.name: finding for finding in doctor.check_port()}
    assert found["port"].state == "fault"


def test_doctor_finds_what_else_can_be_wrong(
    installation: Path, cast: Cast, settings: Settings, monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = make_host(make_cluster())
    host.state = "LOST"
    host.save()
    settings.PORTAL_ENGINES_DIR = installation / "none"
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (sys.version_info[0], sys.version_info[1] + 1))
    monkeypatch.setattr(doctor, "DISK_BYTES", 2**62)
    found = findings()
    assert {name: found[name].state for name in ("python", "hosts", "engines", "disk")} == {
        "python": "fault", "hosts": "fault", "engines": "note", "disk": "fault"}
    assert "host-1" in found["hosts"].text


def test_doctor_goes_on_where_the_database_is_away(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: object) -> None:
        raise OperationalError(2002, "no")

    with monkeypatch.context() as broken:
        broken.setattr("django.db.backends.utils.CursorWrapper.execute", away)
        found = findings()
    assert found["database"].state == "fault"
    assert "disk" in found
    assert "migrations" not in found


@pytest.mark.both_databases
def test_doctor_knows_the_modes_of_the_database(db: None) -> None:
    found = {finding.name: finding for finding in doctor.check_database()}
    assert found["database"].state == "ok", found["database"]
    assert found["clock"].state == "ok"
