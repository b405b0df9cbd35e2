"""What every page and every session keeps to (T46, T47), and addresses that nobody can guess (T62)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as portal_settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from portal.tenancy.models import User
from portal.tenancy.rows import Row
from tests.cast import Cast
from tests.gateway.server import ROOT
from tests.portal.apiclient import Api
from tests.portal.apiworld import World, make_world
from tests.portal.conftest import STORAGES
from tests.portal.test_matrix import MATRIX

pytestmark = pytest.mark.django_db
COOKIE = portal_settings.SESSION_COOKIE_NAME


@pytest.fixture(autouse=True)
def plain_static_files(settings: Any) -> None:
    settings.STORAGES = STORAGES


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


def addresses(patterns: list[Any], before: str = "/") -> Iterator[str]:
    """Every address that the URL resolver knows, its holes filled with a fitting value."""
    for pattern in patterns:
        here = before + filled(str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, here)
        elif isinstance(pattern, URLPattern):
            yield here


def filled(route: str) -> str:
    fitting = {"uuid": str(uuid.UUID(int=0))}
    route = re.sub(r"\(\?P<(\w+)>[^)]*\)|<(?:(\w+):)?(\w+)>", lambda found: fitting.get(found[2] or "", "1"), route)
    return re.sub(r"[\^$?\\]|\(\.\*\)", "", route)


def test_every_route_answers_with_the_headers_that_protect_it(cast: Cast) -> None:
    found = sorted(set(addresses(get_resolver().url_patterns)))
    assert len(found) > 150
    callers = [Api(), Api(cast.operator)]
    bare = []
    for address in found:
        for caller in callers:
            answer = caller.get(address)
            policy = answer.get("Content-Security-Policy", "")
            if (answer.get("X-Frame-Options") != "DENY" or answer.get("X-Content-Type-Options") != "nosniff"
                    or answer.get("Referrer-Policy") not in ("same-origin", "no-referrer")
                    or "frame-ancestors 'none'" not in policy or "object-src 'none'" not in policy):
                bare.append((address, answer.status_code))
    assert bare == []


def sign_in(client: Client, name: str = "operator", password: str = "operator-Secret-1") -> Any:
    return client.post("/account/login/?next=/admin/", {"login": name, "password": password})


def test_signing_in_changes_the_session_that_was_planted(cast: Cast) -> None:
    attacker = Client()
    attacker.get("/account/login/")
    session = attacker.session
    session["planted"] = True
    session.save()
    planted = session.session_key
    victim = Client()
    victim.cookies[COOKIE] = planted
    assert sign_in(victim).status_code == 302
    assert victim.cookies[COOKIE].value != planted
    assert not Session.objects.filter(session_key=planted).exists()
    attacker.cookies[COOKIE] = planted
    assert attacker.get("/admin/").status_code == 302, "the attacker is still nobody"
    assert victim.get("/admin/").status_code == 200


def test_signing_out_ends_the_session_for_whoever_copied_it(cast: Cast) -> None:
    person, thief = Client(), Client()
    sign_in(person)
    thief.cookies[COOKIE] = person.cookies[COOKIE].value
    assert thief.get("/admin/").status_code == 200
    person.post("/admin/logout/")
    assert thief.get("/admin/").status_code == 302


def test_a_changed_password_ends_all_other_sessions_and_no_longer_signs_in(cast: Cast) -> None:
    here, there = Client(), Client()
    sign_in(here), sign_in(there)
    new = {"oldpassword": "operator-Secret-1", "password1": "Correct-horse-9", "password2": "Correct-horse-9"}
    assert here.post("/account/password/", new).status_code == 302
    assert (here.get("/admin/").status_code, there.get("/admin/").status_code) == (200, 302)
    assert Api(User.objects.get(username="operator")).get("workspaces").status_code == 200
    there_by_api = there.get("/api/v1/workspaces")
    assert there_by_api.status_code == 401
    assert sign_in(Client()).status_code == 422, "the form again"


def test_signing_in_needs_the_token_of_our_own_form(cast: Cast) -> None:
    """Else another site could sign a person in as somebody else. A method named in a header or field counts for nothing."""
    strict = Client(enforce_csrf_checks=True)
    strict.get("/account/login/")
    assert sign_in(strict).status_code == 403
    assert COOKIE not in strict.cookies
    reader = Api(cast.alice)
    answer = reader.get("workspaces/alpha?_method=DELETE", X_HTTP_Method_Override="DELETE", X_Method_Override="PATCH")
    assert (answer.status_code, answer.json()["slug"]) == (200, "alpha")


def test_somebody_who_is_no_longer_active_is_out_at_once(cast: Cast) -> None:
    client = Client()
    sign_in(client)
    User.objects.filter(username="operator").update(is_active=False)
    assert client.get("/admin/").status_code == 302
    assert client.get("/api/v1/workspaces").status_code == 401


@pytest.mark.parametrize(("url", "secure"), [("https://portal.example.org", True), ("http://127.0.0.1:8000", False)])
def test_cookies_are_kept_from_scripts_other_sites_and_plain_http(tmp_path: Any, url: str, secure: bool) -> None:
    """By the settings of a process that starts under this address."""
    code = ("import json; from django.conf import settings as s; print(json.dumps({n: getattr(s, n) for n in ["
            "'SESSION_COOKIE_SECURE', 'CSRF_COOKIE_SECURE', 'SESSION_COOKIE_HTTPONLY', 'SESSION_COOKIE_SAMESITE',"
            "'CSRF_COOKIE_SAMESITE', 'SECURE_SSL_REDIRECT', 'SECURE_HSTS_SECONDS']}))")
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "portal.settings", "PORTAL_DATA_DIR": str(tmp_path),
                   "PORTAL_URL": url}
    said = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, check=True, timeout=60)
    values = json.loads(said.stdout)
    assert values["SESSION_COOKIE_HTTPONLY"] is True
    assert values["SESSION_COOKIE_SAMESITE"] == values["CSRF_COOKIE_SAMESITE"] == "Lax"
    assert values["SESSION_COOKIE_SECURE"] == values["CSRF_COOKIE_SECURE"] == values["SECURE_SSL_REDIRECT"] == secure
    assert (values["SECURE_HSTS_SECONDS"] > 0) is secure


def test_the_session_cookie_is_sent_with_its_flags(cast: Cast, settings: Any) -> None:
    settings.SESSION_COOKIE_SECURE = True
    client = Client()
    sign_in(client)
    cookie = client.cookies[COOKIE]
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "Lax")


def test_no_row_is_found_by_its_number(world: World) -> None:
    """A counted number in the place of the unguessable one finds nothing, whoever asks."""
    caller = Api(world.cast.operator)
    numbered = [path for verb, path in MATRIX if verb == "GET" and re.search(r"\{(running|stopped|key|place|host)\}", path)]
    assert len(numbered) > 6
    for path in numbered:
        numbers = {**world.names(), **dict.fromkeys(("running", "stopped", "key", "place", "host"), str(world.running.pk))}
        answer = caller.get(path.format_map(numbers).lstrip("/"))
        assert answer.status_code in (404, 422), path


def test_every_table_has_an_unguessable_uid_of_74_random_bits(world: World) -> None:
    tables = [model for model in subclasses(Row) if not model._meta.abstract]
    assert len(tables) > 8
    uids = [row.uid for model in tables for row in model._default_manager.all()]
    assert len(uids) > 12
    assert {uid.version for uid in uids} == {7}
    tails = [uid.int & ((1 << 62) - 1) for uid in uids]
    assert len({tail >> 32 for tail in tails}) == len(tails), "no two are near each other"


def subclasses(model: type) -> list[Any]:
    return [found for child in model.__subclasses__() for found in (child, *subclasses(child))]
