"""Faults of an API server and of the road to it (reliability.md F13-F21, T17-T20), over real TLS connections."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clusters.drivers import kinds, kube_transport
from clusters.drivers import kube as kube_module
from clusters.drivers.breaker import MUTED_SECONDS, Breaker
from clusters.drivers.kube import DirectTransport, Kube, KubeError, Problem
from clusters.drivers.kube_answers import NAMESPACE_MISSING, QUOTA
from clusters.drivers.kube_errors import FieldFault
from tests.clusters.scripted_api import Asked, Said, Scripted, silent_server, status
from tests.simulators.kubernetes.certificates import Authority, Pair

MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "x"}}
SET = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "a", "namespace": "x"}}


class Clock:
    """A monotonic clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Item(msgspec.Struct):
    name: str = ""


def refusal(call: Callable[[], Any]) -> KubeError:
    with pytest.raises(KubeError) as raised:
        call()
    return raised.value


def asked_once(said: Said, call: Callable[[Kube], Any]) -> KubeError:
    with Scripted(lambda _asked: said) as api:
        return refusal(lambda: call(api.kube()))


FORBIDDEN = ('statefulsets.apps "a" is forbidden: User "system:serviceaccount:ip:portal" cannot patch resource "statefulsets" '
             'in API group "apps" in the namespace "x"')
TERMINATING = status(403, "Forbidden", 'configmaps "a" is forbidden: unable to create new content in namespace x because it '
                     "is being terminated", name="a", kind="configmaps",
                     causes=[{"reason": "NamespaceTerminating", "message": "…", "field": "metadata.namespace"}])
CONFLICT = status(409, "Conflict", "Apply failed with 2 conflicts", causes=[
    {"reason": "FieldManagerConflict", "message": 'conflict with "helm" using apps/v1', "field": ".spec.replicas"},
    {"reason": "FieldManagerConflict", "message": 'conflict with "keda" with subresource "scale"', "field": ".spec.x"}])
INVALID = status(422, "Invalid", "…", name="a", causes=[
    {"reason": "FieldValueInvalid", "message": "Invalid value: -1", "field": "spec.replicas"}])


@pytest.mark.parametrize(("code", "body", "problem", "said", "faults"), [
    (401, status(401, "Unauthorized", "Unauthorized"), Problem.AUTH, "credential (status 401)", ()),
    (403, status(403, "Forbidden", FORBIDDEN, name="a", kind="statefulsets"), Problem.FORBIDDEN,
     "cannot patch statefulsets.apps in namespace x", (FieldFault("statefulsets.apps", "patch", "x"),)),
    (403, b"<html>no</html>", Problem.FORBIDDEN, "cannot patch statefulsets.apps",
     (FieldFault("statefulsets.apps", "patch", "x"),)),
    (403, TERMINATING, Problem.ENDING, "x is being deleted", ()),
    (403, status(403, "Forbidden", "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1", name="a"),
     Problem.INVALID, "exceeded quota", (FieldFault("", QUOTA, "exceeded quota: q, requested: pods=1, used: pods=1, limited: "
                                                    "pods=1"),)),
    (403, status(403, "Forbidden", 'admission webhook "w" denied the request: no'), Problem.INVALID, "denied", None),
    (404, status(404, "NotFound", 'statefulsets.apps "a" not found', name="a", kind="statefulsets"), Problem.NOT_FOUND,
     'statefulsets.apps "a" not found', ()),
    (404, b"404 page not found\n", Problem.NO_KIND, "doesn't know statefulsets.apps", ()),
    (404, status(404, "NotFound", "the server could not find the requested resource"), Problem.NO_KIND, "CRD", ()),
    (404, status(404, "NotFound", 'namespaces "x" not found', name="x", kind="namespaces"), Problem.NOT_FOUND,
     "Namespace x doesn't exist", (FieldFault("metadata.namespace", NAMESPACE_MISSING, "Namespace x doesn't exist."),)),
    (409, status(409, "AlreadyExists", 'statefulsets.apps "a" already exists', name="a"), Problem.EXISTS, "exists", ()),
    (409, CONFLICT, Problem.CONFLICT, ".spec.replicas (helm)", (
        FieldFault(".spec.replicas", "FieldManagerConflict", "helm"), FieldFault(".spec.x", "FieldManagerConflict", "keda"))),
    (409, status(409, "Conflict", "the object has been modified", name="a"), Problem.CONFLICT, "modified", ()),
    (410, status(410, "Expired", "too old"), Problem.GONE, "too old", ()),
    (400, status(400, "BadRequest", "the name of the object is wrong"), Problem.INVALID, "name of the object", ()),
    (422, INVALID, Problem.INVALID, "spec.replicas: Invalid value: -1",
     (FieldFault("spec.replicas", "FieldValueInvalid", "Invalid value: -1"),)),
    (500, status(500, "", "failed to create typed patch object (/a; apps/v1, Kind=StatefulSet): .spec.nope: field not "
                 "declared in schema"), Problem.INVALID, ".spec.nope: field not declared in schema",
     (FieldFault(".spec.nope", "FieldValueInvalid", "field not declared in schema"),)),
    (500, status(500, "InternalError", 'failed calling webhook "w"'), Problem.BUSY, "webhook", ()),
    (429, b"slow down", Problem.BUSY, "busy (status 429)", ()),
    (503, b"<html>secret page</html>", Problem.BUSY, "busy (status 503)", ()),
    (302, b"", Problem.UNREACHABLE, "no Kubernetes API (status 302)", ()),
])
def test_each_refusal_is_told_apart(
    code: int, body: Any, problem: Problem, said: str, faults: tuple[FieldFault, ...] | None,
) -> None:
    headers = {"Location": "https://169.254.169.254/"} if code == 302 else {}
    error = asked_once(Said(code, body, headers), lambda kube: kube.apply(SET))
    assert (error.problem, error.status) == (problem, code)
    assert said in error.message
    assert "html" not in error.message
    assert faults is None or error.faults == faults


def test_an_answer_that_is_no_json_comes_from_no_kubernetes() -> None:
    error = asked_once(Said(200, b"<html>secret page</html>"), lambda kube: kube.list(kinds.POD, Item))
    assert (error.problem, "secret" in error.message) == (Problem.UNREACHABLE, False)


def test_what_a_refusal_quotes_of_a_secret_is_not_passed_on() -> None:
    quoted = status(422, "Invalid", 'Invalid value: "hunter2"', name="a", causes=[
        {"reason": "FieldValueInvalid", "message": 'Invalid value: "hunter2"', "field": "data.token"}])
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "x"}}
    error = asked_once(Said(422, quoted), lambda kube: kube.apply(secret))
    assert error.faults[0].field == "data.token"
    assert "hunter2" not in error.message + str(error.faults)


def test_text_of_a_cluster_is_cleaned() -> None:
    nasty = status(409, "Conflict", "\x1b[31mred\x00" + "x" * 9000, name="a")
    error = asked_once(Said(409, nasty), lambda kube: kube.apply(SET))
    assert "\x1b" not in error.message
    assert len(error.message) <= 1000


@pytest.mark.parametrize(("headers", "body", "seconds"), [
    ({"Retry-After": "7"}, b"", 7.0), ({"Retry-After": "99999999"}, b"", 600.0), ({"Retry-After": "soon"}, b"", 0.0),
    ({}, status(429, "TooManyRequests", "", retryAfterSeconds=3), 3.0), ({}, b"", 0.0),
])
def test_the_wait_that_a_busy_server_asks_for_is_handed_on(headers: dict[str, str], body: Any, seconds: float) -> None:
    error = asked_once(Said(429, body, headers), lambda kube: kube.apply(SET))
    assert (error.problem, error.retry_after) == (Problem.BUSY, seconds)


def test_the_credential_is_read_again_once_after_a_401() -> None:
    tokens = iter(["old", "new", "newer"])
    with Scripted(lambda asked: Said(200 if asked.headers["authorization"] == "Bearer new" else 401, MAP)) as api:
        kube = Kube(lambda: api.transport(token=next(tokens)))
        assert kube.get(kinds.CONFIG_MAP, "x", "a") == MAP
        assert [asked.headers["authorization"] for asked in api.asked] == ["Bearer old", "Bearer new"]


def test_a_credential_that_stays_bad_costs_two_calls() -> None:
    with Scripted(lambda _asked: Said(401, status(401, "Unauthorized", "Unauthorized"))) as api:
        assert refusal(lambda: api.kube().get(kinds.CONFIG_MAP, "x", "a")).problem is Problem.AUTH
        assert len(api.asked) == 2


def test_a_missing_right_is_not_asked_for_again_within_five_minutes() -> None:
    clock = Clock()
    with Scripted(lambda asked: Said(403 if asked.method == "PATCH" else 200,
                                     status(403, "Forbidden", FORBIDDEN) if asked.method == "PATCH" else MAP)) as api:
        kube = api.kube(clock=clock)
        for _ in range(20):
            assert refusal(lambda: kube.apply(SET)).problem is Problem.FORBIDDEN
        assert len(api.asked) == 1
        assert refusal(lambda: kube.apply(SET)).retry_after == pytest.approx(MUTED_SECONDS)
        kube.get(kinds.CONFIG_MAP, "x", "a")  # another right
        assert refusal(lambda: kube.apply({**SET, "metadata": {"name": "a", "namespace": "y"}}))
        assert len(api.asked) == 3
        clock.now += MUTED_SECONDS + 1
        refusal(lambda: kube.apply(SET))
        assert len(api.asked) == 4


def pages(asked: Asked) -> Said:
    token = "continue=" in asked.path
    return Said(200, {"items": [{"name": "b" if token else "a"}],
                      "metadata": {"resourceVersion": "8" if token else "7", "continue": "" if token else "more"}})


def test_a_listing_reads_every_page() -> None:
    with Scripted(pages) as api:
        found = api.kube().list(kinds.POD, Item, namespace="x", labels="a=b,c", fields="status.phase!=Failed")
        assert ([item.name for item in found.items], found.version) == (["a", "b"], "7")
        assert api.asked[0].path == ("/api/v1/namespaces/x/pods?limit=500&labelSelector=a%3Db%2Cc&"
                                     "fieldSelector=status.phase%21%3DFailed")
        assert "&continue=more" in api.asked[1].path
        assert api.asked[0].headers["accept-encoding"] == "gzip"


def test_a_listing_that_grew_too_old_begins_again() -> None:
    gone = iter([True, False])

    def script(asked: Asked) -> Said:
        if "continue=" in asked.path and next(gone):
            return Said(410, status(410, "Expired", "too old"))
        return pages(asked)

    with Scripted(script) as api:
        assert [item.name for item in api.kube().list(kinds.POD, Item).items] == ["a", "b"]
        assert len(api.asked) == 4


def test_a_listing_that_always_grows_too_old_ends() -> None:
    with Scripted(lambda asked: Said(410, status(410, "Expired", "too old")) if "continue=" in asked.path
                  else pages(asked)) as api:
        assert refusal(lambda: api.kube().list(kinds.POD, Item)).problem is Problem.GONE
        assert len(api.asked) == 6


def test_a_failed_page_fails_the_listing() -> None:
    with Scripted(lambda asked: Said(500, b"") if "continue=" in asked.path else pages(asked)) as api:
        assert refusal(lambda: api.kube().list(kinds.POD, Item)).problem is Problem.BUSY


def test_packed_answers_are_unpacked_within_the_limit() -> None:
    with Scripted(lambda _asked: Said(200, MAP, packed=True)) as api:
        assert api.kube().get(kinds.CONFIG_MAP, "x", "a") == MAP
    bomb = Said(200, b" " * (kube_transport.MOST_BYTES + 1), packed=True)
    assert asked_once(bomb, lambda kube: kube.get(kinds.CONFIG_MAP, "x", "a")).problem is Problem.TOO_LARGE


def test_an_endless_answer_is_cut_off() -> None:
    with Scripted(lambda _asked: Said(200, b"x" * 4_000_000)) as api:
        error = refusal(lambda: api.kube().read_log("x", "p", "c"))
    assert error.problem is Problem.TOO_LARGE


def test_an_answer_that_drips_ends_with_the_budget() -> None:
    with Scripted(lambda _asked: Said(200, b"x" * 1000, drip=0.05)) as api:
        began = time.monotonic()
        with pytest.raises(KubeError) as raised:
            api.transport().send(kube_transport.Request("GET", "/version"), kube_transport.Budget(0.6))
        assert time.monotonic() - began < 5
    assert (raised.value.problem, "timeout" in raised.value.message) == (Problem.UNREACHABLE, True)


def test_a_half_open_server_ends_with_the_connect_time() -> None:
    with silent_server() as url:
        began = time.monotonic()
        error = refusal(Kube(lambda: DirectTransport(url, ca=Authority().pem)).version)
        assert (error.problem, "timeout" in error.message) == (Problem.UNREACHABLE, True)
        assert time.monotonic() - began < kube_transport.CONNECT + 2


def test_a_cut_connection_is_a_reset() -> None:
    error = asked_once(Said(cut=True), lambda kube: kube.version())
    assert (error.problem, "reset" in error.message) == (Problem.UNREACHABLE, True)


def test_reading_is_repeated_once_when_the_connection_breaks_and_a_change_never() -> None:
    cuts = iter([True, False, True])
    with Scripted(lambda _asked: Said(200, MAP, cut=next(cuts))) as api:
        kube = api.kube()
        assert kube.get(kinds.CONFIG_MAP, "x", "a") == MAP
        assert "reset" in refusal(lambda: kube.apply(MAP)).message
        assert [asked.method for asked in api.asked] == ["GET", "GET", "PATCH"]


def test_one_road_serves_many_threads() -> None:
    with Scripted(lambda asked: Said(200, {"metadata": {"name": asked.path.rsplit("/", 1)[1]}}, delay=0.01)) as api:
        kube = api.kube()
        names = [f"n-{index}" for index in range(100)]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda name: kube.get(kinds.CONFIG_MAP, "x", name), names))
        assert [one["metadata"]["name"] for one in found if one] == names
        assert len(api.connections) <= 8


def test_the_package_is_loaded_by_the_first_call_only() -> None:
    """It costs 20 MB, which a portal without clusters does not pay."""
    source = ("import os; from tests.rig import environment; os.environ['DJANGO_SETTINGS_MODULE'] = 'portal.settings'\n"
              "import django, sys; django.setup()\nimport clusters.tasks, clusters.drivers.kube\n"
              "sys.exit('kubernetes' in sys.modules)")
    subprocess.run([sys.executable, "-c", source], check=True, cwd=Path(__file__).resolve().parents[2])


def test_a_closed_port_and_an_unknown_name_are_told_apart(settings: Any) -> None:
    settings.PORTAL_ALLOW_LOOPBACK = True
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert "refused" in refusal(Kube(lambda: DirectTransport(f"https://127.0.0.1:{port}")).version).message
    assert "dns" in refusal(Kube(lambda: DirectTransport("https://no-such-name.invalid")).version).message


def test_a_certificate_of_another_ca_is_refused_and_a_new_ca_heals() -> None:
    authority = Authority()
    with Scripted(lambda _asked: Said(200, {"gitVersion": "v1.36.2"}), authority) as api:
        error = refusal(Kube(lambda: api.transport(ca=Authority().pem)).version)
        assert (error.problem, "not trusted by the stored CA" in error.message) == (Problem.TLS, True)
        assert api.asked == []
        assert api.kube().version() == "v1.36.2"


class Elsewhere(Authority):
    """Signs for a server that lives at another address."""

    def server(self, host: str) -> Pair:
        return super().server("10.9.9.9")


def test_a_certificate_for_another_name_is_refused() -> None:
    with Scripted(lambda _asked: Said(200, {}), Elsewhere()) as api:
        error = refusal(api.kube().version)
        assert (error.problem, "for another name" in error.message) == (Problem.TLS, True)
        assert api.asked == []


def test_the_checked_address_is_called_under_the_name_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is judged by its addresses once; the first of them takes no connection, so the second is used."""
    with Scripted(lambda _asked: Said(200, {"gitVersion": "v1"}), Elsewhere()) as api:
        port = api.url.rsplit(":", 1)[1]
        monkeypatch.setattr(kube_module, "checked_addresses", lambda _host, _port: ["127.0.0.2", "127.0.0.1"])
        kube = Kube(lambda: DirectTransport(f"https://localhost:{port}/k8s/c-1", ca=api.authority.pem))
        assert kube.version() == "v1"
        assert (api.asked[0].headers["host"], api.asked[0].path) == (f"localhost:{port}", "/k8s/c-1/version")


def test_a_client_certificate_is_shown() -> None:
    with Scripted(lambda _asked: Said(200, {"gitVersion": "v1"})) as api:
        api.context.load_verify_locations(cadata=api.authority.pem)
        api.context.verify_mode = ssl.CERT_REQUIRED
        pair = api.authority.client("portal", [])
        more = {"token": "", "certificate": pair.certificate, "key": pair.key}
        assert Kube(lambda: api.transport(**more)).version() == "v1"
        assert "authorization" not in api.asked[0].headers
        assert refusal(Kube(lambda: api.transport(token="")).version).is_of_the_cluster


@pytest.mark.parametrize("more", [{"ca": "no pem"}, {"certificate": "x", "key": "y"}])
def test_what_is_no_pem_is_said_so(more: dict[str, str]) -> None:
    assert refusal(lambda: DirectTransport("https://127.0.0.1:6443", **more)).problem is Problem.TLS


@pytest.mark.parametrize("server", [
    "http://127.0.0.1:6443", "https://169.254.169.254", "https://user@127.0.0.1:6443", "https://127.0.0.1:22", "file:///etc/passwd",
])
def test_an_address_that_is_not_allowed_is_never_called(server: str) -> None:
    error = refusal(lambda: DirectTransport(server))
    assert (error.problem, error.message) == (Problem.UNREACHABLE, "address not allowed")


def test_a_proxy_of_the_environment_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with Scripted(lambda _asked: Said(200, {"gitVersion": "v1"})) as api:
        assert api.kube().version() == "v1"


def test_connections_stay_open_between_calls() -> None:
    with Scripted(lambda _asked: Said(200, {"gitVersion": "v1"})) as api:
        kube = api.kube()
        for _ in range(10):
            kube.version()
        assert (len(api.asked), len(api.connections)) == (10, 1)


def test_the_token_is_in_no_log_error_or_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    errors = []
    for said in (Said(401, status(401, "Unauthorized", "Unauthorized")), Said(cut=True), Said(500, b"")):
        errors.append(asked_once(said, lambda kube: kube.apply(SET)))
    errors.append(refusal(lambda: DirectTransport("https://127.0.0.1:6443", token="canary-token\n")))
    with Scripted(lambda _asked: Said(200, {})) as api:
        kube = api.kube()
        kube.version()
        told = [repr(kube), repr(kube._transport), caplog.text, *map(repr, errors), *(repr(e.__cause__) for e in errors)]
    assert "canary" not in "\n".join(told)


def test_an_object_cannot_be_named_out_of_its_path() -> None:
    with Scripted(lambda _asked: Said(200, {})) as api:
        for name in ("../../nodes/a", "a/b", "a?b", "", "a%2fb", "a\r\nb"):
            if name:
                assert refusal(lambda name=name: api.kube().get(kinds.POD, "x", name)).problem is Problem.INVALID  # type: ignore[misc]
                assert refusal(lambda name=name: api.kube().get(kinds.POD, name, "x")).problem is Problem.INVALID  # type: ignore[misc]
        assert api.asked == []


def test_changes_are_sent_as_the_api_wants_them() -> None:
    with Scripted(lambda _asked: Said(200, MAP)) as api:
        kube = api.kube()
        kube.apply(MAP, force=True, dry_run=True)
        kube.apply_status(MAP)
        kube.merge_patch(kinds.STATEFUL_SET, "x", "a", {"spec": {"replicas": 2}}, subresource="scale")
        kube.delete(kinds.CONFIG_MAP, "x", "a", uid="u-1")
        applied, status_, scaled, deleted = api.asked
    assert (applied.method, applied.path) == (
        "PATCH", "/api/v1/namespaces/x/configmaps/a?fieldManager=inference-portal&force=true&fieldValidation=Strict&dryRun=All")
    assert (applied.headers["content-type"], json.loads(applied.body)) == ("application/apply-patch+yaml", MAP)
    assert status_.path.startswith("/api/v1/namespaces/x/configmaps/a/status?")
    assert (scaled.path, scaled.headers["content-type"]) == (
        "/apis/apps/v1/namespaces/x/statefulsets/a/scale?fieldManager=inference-portal", "application/merge-patch+json")
    assert json.loads(deleted.body) == {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
                                        "preconditions": {"uid": "u-1"}}


def test_another_object_of_the_same_name_is_not_deleted() -> None:
    other = status(409, "Conflict", "the UID in the precondition (u-1) does not match the UID in record (u-2)", name="a")
    error = asked_once(Said(409, other), lambda kube: kube.delete(kinds.CONFIG_MAP, "x", "a", uid="u-1"))
    assert error.problem is Problem.CONFLICT


def test_the_breaker_opens_probes_and_closes() -> None:
    clock, alive = Clock(), [False]
    with Scripted(lambda _asked: Said(200, {"gitVersion": "v1", **MAP}) if alive[0] else Said(503, b"")) as api:
        kube = Kube(api.transport, clock=clock, breaker=Breaker(clock, jitter=lambda: 0.5))
        for _ in range(10):
            assert refusal(lambda: kube.get(kinds.CONFIG_MAP, "x", "a")).problem is Problem.BUSY
        assert len(api.asked) == 3
        clock.now += 2.1  # one probe, which fails: the pause doubles
        for _ in range(10):
            refusal(lambda: kube.get(kinds.CONFIG_MAP, "x", "a"))
        assert [asked.path for asked in api.asked[3:]] == ["/version"]
        clock.now += 2.1
        assert refusal(lambda: kube.get(kinds.CONFIG_MAP, "x", "a")).retry_after == pytest.approx(1.9)
        alive[0] = True
        clock.now += 2
        assert kube.get(kinds.CONFIG_MAP, "x", "a") is not None
        assert [asked.path for asked in api.asked[4:]] == ["/version", "/api/v1/namespaces/x/configmaps/a"]


def test_one_broken_webhook_does_not_close_the_road() -> None:
    with Scripted(lambda _asked: Said(500, status(500, "InternalError", "failed calling webhook"))) as api:
        kube = api.kube()
        for _ in range(10):
            refusal(lambda: kube.apply(SET))
        assert len(api.asked) == 10
