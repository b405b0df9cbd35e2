"""What the JSON API says when a request is malformed, an address is wrong, or the database is away."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection

from portal.tenancy.models import Workspace, WorkspaceQuerySet
from tests.cast import Cast, make_cast
from tests.portal.apiclient import Api, by_key, error_of

UNREADABLE: list[tuple[bytes, int]] = [
    (b"{", 400), (b"", 422), (b"[]", 400), (b'"x"', 400), (b"null", 400), (b"\xff\xfe", 400),
    (b'{"name": NaN, "slug": "x"}', 400), (b'{"name": "a", "name": "b", "slug": "x"}', 400),
    (b'{"name": "\\ud800", "slug": "x"}', 400), (b"[" * 100_000, 400), (b'{"a":' * 100_000, 400),
    (b'{"name": "x", "slug": ' + b"9" * 5000 + b"}", 400), (b'{"name": "x", "slug": 1e999}', 422),
    (b'{"name": "a\\u0000b", "slug": "x"}', 422),
]


@pytest.mark.parametrize(("raw", "status"), UNREADABLE, ids=range(len(UNREADABLE)))
def test_an_unreadable_body_is_refused_in_the_one_shape(cast: Cast, raw: bytes, status: int) -> None:
    response = Api(cast.operator).call("POST", "workspaces", raw=raw)
    assert response.status_code == status, response.content
    assert set(error_of(response)) >= {"code", "message", "request_id"}
    assert Workspace.objects.count() == 2


def test_a_body_over_the_limit_is_refused_unread(cast: Cast) -> None:
    raw = b'{"name": "' + b"x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE + b'"}'
    response = Api(cast.operator).call("POST", "workspaces", raw=raw)
    assert (response.status_code, error_of(response)["code"]) == (413, "too_large")


def test_every_answer_has_the_headers_that_keep_it_private(cast: Cast) -> None:
    caller = Api(cast.alice)
    answers = [caller.get("workspaces"), caller.get("nothing"), caller.post("workspaces/alpha/keys", {"name": "k"}),
               Api().get("workspaces"), Api().get("/v1/deployments")]
    for answer in answers:
        assert answer["Cache-Control"] == "no-store"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
        assert answer["X-Request-Id"]


@pytest.mark.parametrize(("body", "words"), [
    ({"slug": "x"}, "This is required."), ({"name": "", "slug": "x"}, "This is too short: at least 1."),
    ({"name": "x", "slug": "x", "max_gpus": -1}, "This must be at least 0."),
    ({"name": "x", "slug": "x", "max_gpus": "1"}, "This takes a whole number."),
    ({"name": 7, "slug": "x"}, "This takes text."), ({"name": "a\u0007", "slug": "x"}, "Control characters are not allowed."),
    ({"name": "x", "slug": "x", "uid": "y"}, "There is no such field."),
])
def test_complaints_are_short_sentences(cast: Cast, body: dict[str, Any], words: str) -> None:
    assert error_of(Api(cast.operator).post("workspaces", body))["message"] == words


def test_every_complaint_is_listed_and_no_input_echoed(cast: Cast) -> None:
    secret = "hf_canaryCanaryCanaryCanary"
    response = Api(cast.alice).post("workspaces/alpha/keys", {"name": "", "scopes": [secret], "x": secret})
    error = error_of(response)
    assert {item["field"] for item in error["errors"]} == {"name", "scopes.0", "x"}
    assert secret not in response.content.decode()


@pytest.mark.parametrize(("verb", "path", "status", "code"), [
    ("GET", "/api/v1/nothing", 404, "not_found"), ("GET", "/api/v2/endpoints", 404, "not_found"),
    ("PUT", "/api/v1/endpoints", 405, "method_not_allowed"), ("POST", "/api/v1/audit", 405, "method_not_allowed"),
    ("GET", "/api/v1/endpoints/not-a-uid", 422, "invalid"),
])
def test_wrong_addresses_get_the_one_shape(cast: Cast, verb: str, path: str, status: int, code: str) -> None:
    response = Api(cast.alice).call(verb, path)
    assert (response.status_code, error_of(response)["code"]) == (status, code)
    assert response["X-Request-Id"] == error_of(response)["request_id"]
    if status == 405:
        assert response["Allow"]


def test_the_callers_request_id_comes_back_and_stands_in_the_audit(cast: Cast) -> None:
    caller = Api(cast.alice)
    made = caller.patch("workspaces/alpha", {"name": "Renamed"}, X_Request_Id="ci-run-12345")
    assert made["X-Request-Id"] == "ci-run-12345"
    assert caller.get("audit").json()["items"][0]["request_id"] == "ci-run-12345"


def broken(message: str, code: int) -> Any:
    def raise_it(*_args: object, **_named: object) -> None:
        raise OperationalError(code, message)

    return raise_it


@pytest.mark.parametrize(("code", "message"), [
    (2006, "Server has gone away at db.internal"), (2013, "Lost connection"), (1205, "Lock wait timeout"),
])
def test_a_database_that_goes_away_is_503_with_retry_after(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, code: int, message: str,
) -> None:
    caller = by_key(cast.alice, cast.alpha)
    monkeypatch.setattr(WorkspaceQuerySet, "visible_to", broken(message, code))
    response = caller.get("workspaces")
    assert (response.status_code, error_of(response)["code"]) == (503, "unavailable")
    assert int(response["Retry-After"]) > 0
    assert "db.internal" not in response.content.decode()


def test_a_database_away_before_the_view_is_503_too(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = Api(cast.alice)
    monkeypatch.setattr("portal.tenancy.auth.SessionAuth.__call__", broken("gone", 2006))
    assert caller.get("workspaces").status_code == 503
    monkeypatch.undo()
    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.load", broken("gone", 2006))
    pages = [caller.get("workspaces"), caller.get("/admin/")]
    assert [page.status_code for page in pages] == [503, 503]
    assert error_of(pages[0])["code"] == "unavailable"


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite locks the whole database")
def test_while_another_process_writes_reads_go_on_and_changes_get_503() -> None:
    cast = make_cast()
    caller = by_key(cast.alice, cast.alpha)
    holder = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout=50")
    try:
        holder.execute("BEGIN IMMEDIATE")
        assert caller.get("workspaces/alpha").status_code == 200
        refused = caller.patch("workspaces/alpha", {"name": "Renamed"})
        assert (refused.status_code, error_of(refused)["code"]) == (503, "unavailable")
        assert refused["Retry-After"]
    finally:
        holder.close()
        connection.close()
    assert caller.patch("workspaces/alpha", {"name": "Renamed"}).status_code == 200


def test_a_crash_shows_neither_traceback_nor_path(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = by_key(cast.alice, cast.alpha)

    def crash(*_args: object) -> None:
        raise RuntimeError("/srv/secret/path")

    monkeypatch.setattr("portal.tenancy.api.page_of", crash)
    response = caller.get("workspaces")
    assert (response.status_code, error_of(response)["code"]) == (500, "internal")
    assert "secret" not in response.content.decode()
    assert "Traceback" not in response.content.decode()


def test_the_docs_load_nothing_from_elsewhere(db: None, settings: Any) -> None:
    settings.STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
    page = Api().get("docs").content.decode()
    assert "swagger" in page
    assert "https://" not in page


def test_the_schema_is_open_and_lists_the_routes(db: None) -> None:
    schema = json.loads(Api().get("openapi.json").content)
    assert schema["info"]["title"] == "Inference Portal"
    assert "/api/v1/endpoints" in schema["paths"]
