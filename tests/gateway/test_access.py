"""Who may call what: keys, scopes, tenants, and a database that is away (T29, T33 to T35, F10)."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta

import httpx2 as httpx
import openai
import pytest
from django.utils import timezone

from portal.tenancy.models import ApiKey
from portal.tenancy.roles import Role, Scope
from tests.gateway.server import Server, Tenant, eventually
from tests.simulators.openai_backend import OpenAIBackend

HELLO = [{"role": "user", "content": "Hello"}]
BODY = {"model": "tiny-chat", "messages": HELLO}


def post(server: Server, headers: dict[str, str], body: object = BODY, path: str = "/v1/chat/completions") -> httpx.Response:
    return httpx.post(f"{server.url}{path}", json=body, headers=headers, timeout=10)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture
def ready(tenant: Tenant, engine: OpenAIBackend) -> Tenant:
    tenant.endpoint("tiny-chat", engine.url, token="engine-token")
    tenant.wait_for("tiny-chat")
    return tenant


def test_a_brand_new_key_works_at_once(ready: Tenant) -> None:
    for _ in range(5):
        assert post(ready.server, bearer(ready.key())).status_code == 200


def test_all_bad_keys_get_the_same_401(ready: Tenant, engine: OpenAIBackend) -> None:
    good = ready.key()
    wrong = good[:-1] + ("A" if good[-1] != "A" else "B")
    expired = ready.key(expires_at=timezone.now() - timedelta(seconds=1))
    revoked = ready.key(revoked_at=timezone.now())
    unknown = "sk-" + "a" * 16 + "-" + "b" * 43
    shapes = ["x", good + "x", good[:-1], "sk-' OR 1=1 --", "sk-" + "é" * 16, "y" * 8000]
    answers = [post(ready.server, bearer(key)) for key in (wrong, expired, revoked, unknown)]
    answers += [post(ready.server, {"authorization": f"Bearer {key}".encode()}) for key in shapes]
    others = [{}, {"authorization": "Bearer"}, {"authorization": ""}, {"authorization": f"Basic {good}"},
              {"authorization": good}, {"cookie": f"authorization=Bearer {good}"}]
    answers += [post(ready.server, headers) for headers in others]
    answers.append(post(ready.server, {}, path=f"/v1/chat/completions?api_key={good}&key={good}"))
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["error"]["code"] == "invalid_api_key"
    assert engine.requests == []


def test_a_wrong_shape_costs_no_database_and_little_time(ready: Tenant) -> None:
    with httpx.Client() as client:
        times = []
        for _ in range(30):
            begin = time.perf_counter()
            client.get(f"{ready.server.url}/v1/models", headers=bearer("sk-nothing"))
            times.append(time.perf_counter() - begin)
    assert sorted(times)[15] < 0.02


def test_time_does_not_tell_an_unknown_key_from_a_wrong_secret(ready: Tenant) -> None:
    known = ready.key()[:20]
    post(ready.server, bearer(ready.key()))

    def seconds(kind: str, number: int) -> float:
        public = known if kind == "known" else f"sk-{number:016d}-"
        begin = time.perf_counter()
        assert post(ready.server, bearer(public + f"{number:043d}")).status_code == 401
        return time.perf_counter() - begin

    times = {kind: sorted(seconds(kind, number) for number in range(15)) for kind in ("known", "unknown")}
    assert min(times["known"]) > 0.09
    assert min(times["unknown"]) > 0.09
    assert abs(times["known"][7] - times["unknown"][7]) < 0.05


def test_either_header_is_taken_and_two_keys_are_refused(ready: Tenant) -> None:
    one, two = ready.key(), ready.key()
    assert post(ready.server, {"x-api-key": one}).status_code == 200
    assert post(ready.server, {"x-api-key": one, **bearer(one)}).status_code == 200
    answer = post(ready.server, {"x-api-key": two, **bearer(one)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "conflicting_credentials")


def test_a_revoked_key_stops_within_five_seconds(ready: Tenant) -> None:
    key = ready.key()
    assert post(ready.server, bearer(key)).status_code == 200
    ApiKey.objects.filter(public_id=key[3:19]).update(revoked_at=timezone.now())
    eventually(lambda: post(ready.server, bearer(key)).status_code == 401, 5)


def test_a_key_stops_when_its_maker_leaves(ready: Tenant) -> None:
    key = ready.key()
    assert post(ready.server, bearer(key)).status_code == 200
    ready.workspace.memberships.all().delete()
    eventually(lambda: post(ready.server, bearer(key)).status_code == 401, 5)


@pytest.mark.parametrize("scopes", [[], [Scope.READ.value], [Scope.DEPLOY.value, Scope.MANAGE.value], ["nonsense"]])
def test_a_key_without_the_right_scope_may_not_call(ready: Tenant, engine: OpenAIBackend, scopes: list[str]) -> None:
    answer = post(ready.server, bearer(ready.key(scopes=scopes)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_scope")
    assert engine.requests == []


def test_a_viewers_key_may_not_call(ready: Tenant) -> None:
    ready.workspace.memberships.update(role=Role.VIEWER)
    assert post(ready.server, bearer(ready.key())).status_code == 403


def test_another_tenants_model_answers_like_a_missing_one(
    make: Callable[[], Tenant], ready: Tenant, engine: OpenAIBackend,
) -> None:
    key = make().key()
    theirs = post(ready.server, bearer(key))
    missing = post(ready.server, bearer(key), {**BODY, "model": "tiny-chap"})
    assert theirs.status_code == missing.status_code == 404
    assert theirs.text == missing.text.replace("tiny-chap", "tiny-chat")
    found = httpx.get(f"{ready.server.url}/v1/models/tiny-chat", headers=bearer(key))
    assert (found.status_code, found.text) == (404, theirs.text)
    assert httpx.get(f"{ready.server.url}/v1/models", headers=bearer(key)).json()["data"] == []
    assert engine.requests == []


def test_two_tenants_with_the_same_name_reach_their_own_engine(
    make: Callable[[], Tenant], ready: Tenant, engine: OpenAIBackend, second_engine: OpenAIBackend,
) -> None:
    other = make()
    other.endpoint("tiny-chat", second_engine.url, token="engine-token")
    other.wait_for("tiny-chat").chat.completions.create(model="tiny-chat", messages=HELLO)
    assert (len(engine.requests), len(second_engine.requests)) == (0, 1)


@pytest.mark.parametrize("name", ["Tiny-Chat", "tiny-chat ", "tiny", "a/../tiny-chat", "tiny-chat\x00", "*", "../tiny-chat",
                                  "x" * 250])
def test_only_the_exact_name_is_the_model(ready: Tenant, engine: OpenAIBackend, name: str) -> None:
    answer = post(ready.server, bearer(ready.key()), {**BODY, "model": name})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert engine.requests == []


def test_a_key_for_some_models_knows_no_others(ready: Tenant, engine: OpenAIBackend) -> None:
    ready.endpoint("other", engine.url, token="engine-token")
    ready.wait_for("other")
    client = ready.client(ready.key(model_names=["other"]))
    assert [model.id for model in client.models.list()] == ["other"]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="tiny-chat", messages=HELLO)


def test_an_endpoint_that_loads_is_503_with_its_status(tenant: Tenant) -> None:
    tenant.endpoint("tiny-chat", message="Loading the weights.")
    with pytest.raises(openai.InternalServerError, match=r"not ready \(creating\). Loading the weights.") as refusal:
        tenant.wait_for("tiny-chat", ready=False).chat.completions.create(model="tiny-chat", messages=HELLO)
    assert (refusal.value.status_code, refusal.value.code) == (503, "model_not_ready")
    assert refusal.value.response.headers["retry-after"] == "5"


def test_a_stopped_endpoint_is_unknown(tenant: Tenant, engine: OpenAIBackend) -> None:
    tenant.endpoint("stopped", engine.url, wish="stopped")
    tenant.endpoint("tiny-chat", engine.url, token="engine-token")
    with pytest.raises(openai.NotFoundError):
        tenant.wait_for("tiny-chat").chat.completions.create(model="stopped", messages=HELLO)


def test_last_use_of_a_key_is_written_off_the_path(ready: Tenant) -> None:
    key = ready.key()
    unused = ready.key()
    post(ready.server, bearer(key))
    eventually(lambda: ApiKey.objects.get(public_id=key[3:19]).last_used_at)
    assert ApiKey.objects.get(public_id=unused[3:19]).last_used_at is None


def test_a_lost_database_is_503_and_never_401(ready: Tenant, engine: OpenAIBackend) -> None:
    key = ready.key()
    assert post(ready.server, bearer(key)).status_code == 200
    with sqlite3.connect(ready.server.folder / "portal.sqlite3") as database:
        database.execute("ALTER TABLE tenancy_apikey RENAME TO away")
    try:
        statuses = set()
        end = time.monotonic() + 7.5
        while time.monotonic() < end:
            answer = post(ready.server, bearer(key))
            statuses.add(answer.status_code)
            time.sleep(0.05)
        unknown = post(ready.server, bearer("sk-" + "a" * 16 + "-" + "b" * 43))
    finally:
        database.execute("ALTER TABLE away RENAME TO tenancy_apikey")
        database.close()
    assert statuses == {200, 503}
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "2"
    assert unknown.status_code == 503
    eventually(lambda: post(ready.server, bearer(key)).status_code == 200, 5)
