"""The life of an endpoint through the JSON API: create, look, change, repeat, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from endpoints.models import Endpoint
from portal.tenancy.models import AuditEntry
from tests.cast import Cast, make_cluster, make_host, make_profile
from tests.portal.apiclient import Api, by_key, error_of


@pytest.fixture
def ready(cast: Cast) -> Cast:
    make_host(make_cluster("here"))
    make_profile("tiny-chat-cpu")
    return cast


def body(**changes: Any) -> dict[str, Any]:
    return {"workspace": "alpha", "name": "chat", "place": "here", "profile": "tiny-chat-cpu", **changes}


def made(api: Api, **changes: Any) -> dict[str, Any]:
    response = api.post("endpoints", body(**changes))
    assert response.status_code == 202, response.content
    return response.json()


def test_a_developer_creates_reads_and_deletes(ready: Cast) -> None:
    api = by_key(ready.bob, ready.alpha)
    row = made(api, note="first")
    assert (row["status"], row["wish"], row["revision"], row["model"]) == ("PENDING", "running", 1, "tiny-chat")
    shown = api.get(f"endpoints/{row['uid']}")
    assert shown.json() == row
    assert shown["ETag"] == row["etag"]
    assert api.get("endpoints").json()["items"] == [row]
    gone = api.delete(f"endpoints/{row['uid']}")
    assert (gone.status_code, gone.json()["wish"]) == (202, "deleted")
