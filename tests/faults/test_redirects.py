"""Every door that sends somebody on sends them on inside the portal, whatever they were told to ask for (T50)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.test import Client

from tests.cast import Cast
from tests.portal.conftest import STORAGES, signed_in

pytestmark = pytest.mark.django_db
AWAY = ("//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example/", "http:evil.example",
        "javascript:alert(1)", "http:///evil.example", "///evil.example", "https:evil.example",
        "\thttps://evil.example", "/\t/evil.example",
        "https://testserver@evil.example/", "https://testserver.evil.example/", "data:text/html,x",
        "//testserver:80@evil.example", "\u2028//evil.example", "/%0d%0aLocation: https://evil.example",
        "/\r\nLocation: https://evil.example")
PASSWORD = {"login": "alice", "password": "alice-Secret-1"}
DOORS: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("", "POST", "/account/login/", PASSWORD), ("", "GET", "/admin/login/", {}), ("alice", "GET", "/account/login/", {}),
    ("operator", "GET", "/admin/login/", {}), ("alice", "POST", "/account/logout/", {}),
    ("alice", "POST", "/admin/logout/", {}), ("alice", "POST", "/language/", {"language": "ko"}),
    ("", "POST", "/language/", {"language": "ko"}), ("operator", "POST", "/i18n/setlang/", {"language": "ko"}),
    ("alice", "POST", "/account/reauthenticate/", {"password": "alice-Secret-1"}),
    ("alice", "POST", "/account/password/", {"oldpassword": "alice-Secret-1", "password1": "an-Other-Secret-2",
                                             "password2": "an-Other-Secret-2"}),
)


@pytest.mark.parametrize(("person", "verb", "path", "form"), DOORS, ids=[" ".join(door[:3]) for door in DOORS])
def test_next_leads_nowhere_else(cast: Cast, settings: Any, person: str, verb: str, path: str, form: dict[str, str]) -> None:
    settings.STORAGES = STORAGES
    moved = 0
    for away in AWAY:
        for headers in ({}, {"Referer": away.strip()} if away.isprintable() else {}):
            client = signed_in(getattr(cast, person)) if person else Client()
            cast.alice.set_password("alice-Secret-1")
            cast.alice.save()
            if person == "alice":
                client.force_login(cast.alice)
            answer = (client.post(path, {**form, "next": away}, query_params={"next": away}, headers=headers) if verb == "POST"
                      else client.get(path, {"next": away}, headers=headers))
            where = answer.get("Location", "") or answer.get("HX-Redirect", "")
            moved += bool(where)
            told = urlsplit(urljoin(f"http://testserver{path}", where))
            assert (told.scheme, told.netloc) == ("http", "testserver"), (away, where)
            assert not where.startswith(("//", "/\\")), (away, where)
            assert "evil" not in answer.headers.get("Refresh", "")
    assert moved, "the door sends people on"
