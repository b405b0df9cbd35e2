"""The door of the JSON API: keys of every wrong kind, sessions without their token, and what a key may see."""

from __future__ import annotations

import string
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.tenancy import auth
from portal.tenancy.models import ApiKey, Membership, split_key
from portal.tenancy.roles import Role, Scope
from portal.tenancy.strikes import Strikes
from tests.cast import Cast, make_cluster, make_host, make_profile
from tests.portal.apiclient import Api, by_key, error_of, key_text
from tests.portal.test_matrix import without_id

WRONG_SHAPES = [
    "", " ", "Bearer", "Bearer ", "bearer x", "Basic YTpi", "Bearer sk-", "Bearer ' OR 1=1 --", "Bearer " + "a" * 1_000_000,
    "Bearer sk-aaaaaaaaaaaaaaaa-' UNION SELECT digest FROM tenancy_apikey --aaaa", "Token sk-x", "sk-abc",
    "Bearer sk-" + "A" * 16 + "-" + "b" * 43,
    "Bearer sk-" + "a" * 16 + "-" + "b" * 44, "Bearer sk-" + "a" * 15 + "é-" + "b" * 43, "Bearer \x00",
]


@pytest.mark.parametrize("header", WRONG_SHAPES, ids=range(len(WRONG_SHAPES)))
def test_a_key_of_a_wrong_shape_costs_no_query(db: None, header: str) -> None:
    caller = Api()
    with CaptureQueriesContext(connection) as seen:
        response = caller.get("workspaces", Authorization=header)
    assert (response.status_code, error_of(response)["code"]) == (401, "not_signed_in")
    assert response["WWW-Authenticate"] == "Bearer"
    assert len(seen) == 0


def test_who_goes_on_with_wrong_keys_is_told_to_wait_and_nobody_is_locked_out(
    cast: Cast, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(auth, "strikes", Strikes(3))
    right, wrong = Api(key=key_text(cast.alice, cast.alpha)), Api(key=f"sk-{'z' * 16}-{'a' * 43}")
    assert [wrong.get("workspaces").status_code for _ in range(5)] == [401, 401, 401, 429, 429]
    refused = wrong.get("workspaces")
    assert (error_of(refused)["code"], 0 < int(refused["Retry-After"]) <= 60) == ("too_many", True)
    assert right.get("workspaces").status_code == 200, "a right key opens from the same address"
    assert Api().get("workspaces").status_code == 401, "a call without a key guesses none"
    wrong.client.defaults["REMOTE_ADDR"] = "203.0.113.9"
    assert wrong.get("workspaces").status_code == 401, "another address"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=string.printable + "é\u202e", max_size=80))
def test_only_the_shape_of_a_key_is_split(text: str) -> None:
    parts = split_key(text)
    assert parts is None or text == f"sk-{parts[0]}-{parts[1]}"


def test_unknown_wrong_expired_revoked_and_missing_keys_get_the_same_answer(cast: Cast) -> None:
    text = key_text(cast.alice, cast.alpha)
    good = Api(key=text).get("workspaces")
    assert good.status_code == 200
    expired, revoked = key_text(cast.alice, cast.alpha), key_text(cast.alice, cast.alpha)
    ids = {split_key(expired)[0]: {"expires_at": timezone.now() - timedelta(seconds=1)},  # type: ignore[index]
           split_key(revoked)[0]: {"revoked_at": timezone.now()}}  # type: ignore[index]
    for public_id, values in ids.items():
        ApiKey.objects.filter(public_id=public_id).update(**values)
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    unknown = f"sk-{'z' * 16}-{'a' * 43}"
    keys = (unknown, wrong, expired, revoked, "nonsense", "")
    answers = [Api(key=key).get("workspaces") for key in keys]
    assert {answer.status_code for answer in answers} == {401}
    bodies = [without_id(answer) for answer in answers]
    assert all(body == bodies[0] for body in bodies)


def test_unknown_and_wrong_keys_cost_the_same_queries(cast: Cast) -> None:
    text = key_text(cast.alice, cast.alpha)
    costs = []
    for key in (f"sk-{'z' * 16}-{'a' * 43}", text[:-1] + ("A" if text[-1] != "A" else "B")):
        with CaptureQueriesContext(connection) as seen:
            Api(key=key).get("workspaces")
        costs.append(len(seen))
    assert costs == [1, 1]


@pytest.mark.parametrize("end", ["demoted", "removed", "disabled", "revoked"])
def test_a_key_ends_with_the_right_of_its_maker(cast: Cast, end: str) -> None:
    caller = by_key(cast.bob, cast.alpha, Scope.DEPLOY)
    make_host(make_cluster("here"))
    make_profile("tiny-chat-cpu")
    new = {"workspace": "alpha", "name": "one", "place": "here", "profile": "tiny-chat-cpu"}
    assert caller.post("endpoints", new).status_code == 202
    member = Membership.objects.filter(workspace=cast.alpha, user=cast.bob)
    if end == "demoted":
        member.update(role=Role.VIEWER)
    elif end == "removed":
        member.delete()
    elif end == "disabled":
        cast.bob.is_active = False
        cast.bob.save()
    else:
        ApiKey.objects.update(revoked_at=timezone.now())
    again = caller.post("endpoints", {**new, "name": "two"})
    assert again.status_code == (403 if end == "demoted" else 401)


def test_a_key_sees_its_own_workspace_only(cast: Cast) -> None:
    Membership.objects.create(workspace=cast.beta, user=cast.alice, role=Role.OWNER)
    caller = by_key(cast.alice, cast.alpha)
    assert [row["slug"] for row in caller.get("workspaces").json()["items"]] == ["alpha"]
    assert caller.get("workspaces/beta").status_code == 404
    assert Api(cast.alice).get("workspaces/beta").status_code == 200


def test_a_key_for_calling_models_reads_nothing(cast: Cast) -> None:
    caller = by_key(cast.alice, cast.alpha, Scope.INFERENCE)
    paths = ["workspaces", "workspaces/alpha", "places", "models", "profiles", "releases", "vendors", "endpoints",
             "workspaces/alpha/keys", "audit"]
    assert {path: caller.get(path).status_code for path in paths} == dict.fromkeys(paths, 403)


def test_an_operators_key_does_not_operate(cast: Cast) -> None:
    caller = by_key(cast.operator, cast.alpha)
    assert caller.get("workspaces/beta").status_code == 404
    assert caller.post("workspaces", {"name": "New", "slug": "new"}).status_code == 403
    place = make_cluster("here")
    assert caller.get(f"places/{place.uid}/enrolment-tokens").status_code == 403


def test_a_key_makes_no_wider_key(cast: Cast) -> None:
    caller = by_key(cast.alice, cast.alpha, Scope.MANAGE)
    wide = caller.post("workspaces/alpha/keys", {"name": "wide", "scopes": ["deploy"]})
    assert (wide.status_code, error_of(wide)["code"]) == (403, "scope_exceeds_role")


def test_a_change_by_session_needs_the_csrf_token(cast: Cast) -> None:
    caller = Api(cast.alice)
    del caller.headers["X-CSRFToken"]
    for verb, path, data in (("POST", "workspaces/alpha/keys", {"name": "k"}), ("PATCH", "workspaces/alpha", {"name": "x"}),
                             ("DELETE", f"endpoints/{cast.alpha.uid}", None)):
        response = caller.call(verb, path, data)
        assert (response.status_code, error_of(response)["code"]) == (403, "csrf")
    assert caller.get("workspaces/alpha").status_code == 200
    assert caller.post("workspaces/alpha/keys", {"name": "k"}, X_CSRFToken="a" * 32).status_code == 403
    assert ApiKey.objects.count() == 0


def test_a_key_needs_no_csrf_token_and_ignores_the_session(cast: Cast) -> None:
    caller = Api(cast.operator)
    caller.headers = {"Authorization": f"Bearer {key_text(cast.vera, cast.alpha, Scope.READ)}"}
    made = caller.post("workspaces", {"name": "New", "slug": "new"})
    assert (made.status_code, error_of(made)["code"]) == (403, "not_allowed")
    caller.headers["Authorization"] = "Bearer nonsense"
    assert caller.get("workspaces").status_code == 401


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_only_json_is_read(cast: Cast, kind: str) -> None:
    for caller in (Api(cast.alice), by_key(cast.alice, cast.alpha)):
        before = ApiKey.objects.count()
        response = caller.call("POST", "workspaces/alpha/keys", {"name": "k"}, Content_Type=kind)
        assert (response.status_code, error_of(response)["code"]) == (415, "wrong_type")
        assert ApiKey.objects.count() == before


def test_the_last_use_of_a_key_is_noted_once_a_minute(cast: Cast) -> None:
    caller = by_key(cast.alice, cast.alpha)
    caller.get("workspaces")
    first = ApiKey.objects.get().last_used_at
    caller.get("workspaces")
    assert first is not None
    assert ApiKey.objects.get().last_used_at == first
    ApiKey.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    caller.get("workspaces")
    assert ApiKey.objects.get().last_used_at > first
