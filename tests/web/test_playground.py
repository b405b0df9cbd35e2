"""The playground's page, its list of models, and the short-lived key that its script draws."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from clusters.models import Cluster
from endpoints.gateway.loader import Loader
from endpoints.models import Backend, Endpoint, Revision, Route, RouteTarget
from endpoints.services.token_prices import set_price
from models_catalog.choices import EngineKind, Task
from models_catalog.models import EngineRelease, Profile
from portal.tenancy import page_keys
from portal.tenancy.actor import Actor
from portal.tenancy.errors import NotAllowed, TooMany
from portal.tenancy.models import ApiKey, AuditEntry, Membership, Workspace
from portal.tenancy.page_keys import KEPT, LIVES, MOST_DRAWN, draw_key
from portal.tenancy.services import create_key
from portal.tenancy.tasks import forget_old
from portal.web.playground import offers as offering
from portal.web.playground.kinds import KINDS, TRIED_TASKS, kind_for
from portal.web.playground.offers import cost_of
from portal.web.playground.words import words
from tests.cast import Cast, make_cluster, make_profile, make_user

pytestmark = pytest.mark.django_db
ClientOf = Callable[[str], Client]


def profile_of(task: str, engine: str = EngineKind.VLLM) -> Profile:
    slug = f"{task}-{engine}"
    profile = Profile.objects.filter(slug=f"{slug}-cpu").first() or make_profile(f"{slug}-cpu")
    type(profile.model).objects.filter(pk=profile.model_id).update(task=task)
    profile.release, _made = EngineRelease.objects.get_or_create(
        slug=f"{engine}-x", defaults={"kind": engine, "version": "1", "device": "cpu"})
    profile.save()
    return profile


def make(workspace: Workspace, name: str, *, task: str = Task.CHAT, ready: bool = True, engine: str = EngineKind.VLLM,
         **values: Any) -> Endpoint:
    """An endpoint that answers calls, or does not yet."""
    cluster = values.pop("cluster", None) or Cluster.objects.filter(name="hosts").first() or make_cluster()
    row = Endpoint.objects.create(workspace=workspace, cluster=cluster, name=name, **{
        "public_name": name, "public_key": name, "status": "INSERVICE" if ready else "CREATING", **values})
    row.wanted = Revision.objects.create(endpoint=row, number=1, profile=profile_of(task, engine))
    row.save()
    if ready:
        Backend.objects.create(endpoint=row, key="0", url="http://127.0.0.1:9", revision=1)
    return row


def make_route(workspace: Workspace, name: str, *endpoints: Endpoint) -> Route:
    route = Route.objects.create(workspace=workspace, public_name=name, public_key=name)
    for endpoint in endpoints:
        RouteTarget.objects.create(route=route, endpoint=endpoint)
    return route


def config_of(answer: Any) -> dict[str, Any]:
    """What the page says to its script."""
    return json.loads(unescape(answer.content.decode().split('data-config="')[1].split('"')[0]))  # type: ignore[no-any-return]


def listed(client: Client, address: str = "/w/alpha/playground/models/", **asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.get(address, asked).json()
    return found


def names(found: dict[str, Any]) -> list[str]:
    return [one["name"] for one in found["models"]]


def test_the_title_says_who_answers(client_of: ClientOf, cast: Cast) -> None:
    alice = client_of("alice")
    page = alice.get("/w/alpha/playground/")
    assert b"No chat model answers yet" in page.content
    assert b"Choose a model" in page.content
    make(cast.alpha, "slow-chat", ready=False)
    page = alice.get("/w/alpha/playground/")
    assert b"None of these models answers" in page.content
    assert b"slow-chat" in page.content
    make(cast.alpha, "first-chat")
    assert b"first-chat answers now" in alice.get("/w/alpha/playground/").content
    make(cast.alpha, "second-chat")
    page = alice.get("/w/alpha/playground/")
    assert b"2 models answer now" in page.content
    assert b"<noscript>" in page.content


@pytest.mark.parametrize(("tried", "shown"), [
    ("chat", {"chat", "pictures", "by-route"}), ("embeddings", {"embed", "lmi-embed"}), ("rerank", {"rank"}),
    ("score", {"embed", "rank"}), ("nonsense", {"chat", "pictures", "by-route"})])
def test_each_way_of_trying_offers_its_models(client_of: ClientOf, cast: Cast, tried: str, shown: set[str]) -> None:
    chat = make(cast.alpha, "chat")
    tasks = {"pictures": Task.VISION_CHAT, "embed": Task.EMBEDDING, "rank": Task.RERANK, "voice": Task.SPEECH}
    for name, task in tasks.items():
        make(cast.alpha, name, task=task)
    make(cast.alpha, "lmi-embed", task=Task.EMBEDDING, engine=EngineKind.LMI)
    make(cast.alpha, "going", wish="deleted")
    make(cast.beta, "beta-chat")
    make_route(cast.alpha, "by-route", chat)
    assert set(names(listed(client_of("alice"), **{"try": tried}))) == shown


def test_those_that_answer_come_first_and_others_say_their_state(client_of: ClientOf, cast: Cast) -> None:
    make(cast.alpha, "a-waiting", ready=False)
    make(cast.alpha, "z-ready")
    make(cast.alpha, "b-empty").backends.all().delete()
    make_route(cast.alpha, "dead-route", Endpoint.objects.get(name="a-waiting"))
    found = listed(client_of("alice"))["models"]
    assert [(one["name"], one["is_ready"], one["state"]) for one in found] == [
        ("z-ready", True, "In service"), ("a-waiting", False, "Creating"), ("b-empty", False, "No replica answers now"),
        ("dead-route", False, "No endpoint behind it answers")]


def test_a_route_hides_the_endpoint_of_its_name(client_of: ClientOf, cast: Cast) -> None:
    make_route(cast.alpha, "chat", make(cast.alpha, "chat"))
    found = listed(client_of("alice"))["models"]
    assert [(one["name"], one["is_route"], one["is_ready"]) for one in found] == [("chat", True, True)]


def test_many_models_are_searched(client_of: ClientOf, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offering, "MOST", 3)
    rows = [make(cast.alpha, f"chat-{number}") for number in range(5)]
    alice = client_of("alice")
    found = listed(alice)
    assert (names(found), found["is_cut"]) == (["chat-2", "chat-3", "chat-4"], True)
    found = listed(alice, q="CHAT-1")
    assert (names(found), found["is_cut"]) == (["chat-1"], False)
    assert "chat-0" in names(listed(alice, endpoint=str(rows[0].uid))), "what is chosen stays"
    assert config_of(alice.get("/w/alpha/playground/", {"endpoint": str(rows[0].uid)}))["chosen"] == [str(rows[0].uid)]


def test_the_address_names_what_is_chosen(client_of: ClientOf, cast: Cast) -> None:
    first, second, embed = make(cast.alpha, "first"), make(cast.alpha, "second"), make(cast.alpha, "e", task=Task.EMBEDDING)
    foreign, route = make(cast.beta, "beta-secret-x"), make_route(cast.alpha, "both", first, second)
    alice, page = client_of("alice"), "/w/alpha/playground/"

    def chosen(*uids: object, **more: Any) -> list[str]:
        found: list[str] = config_of(alice.get(page, {"endpoint": [str(uid) for uid in uids], **more}))["chosen"]
        return found

    assert chosen() == [str(route.uid)], "the first by name"
    assert chosen(second.uid, first.uid) == [str(second.uid), str(first.uid)]
    assert chosen(route=str(route.uid)) == [str(route.uid)]
    # A neighbour's, a missing one and nonsense are the same: nobody is named.
    assert chosen(foreign.uid) == chosen(uuid.uuid4()) == chosen("nonsense") == [str(route.uid)]
    told = config_of(alice.get(page, {"endpoint": str(embed.uid)}))
    assert (told["kind"], told["chosen"]) == ("embeddings", [str(embed.uid)])
    assert b"beta-secret" not in alice.get(page, {"endpoint": str(foreign.uid)}).content


def test_the_page_says_what_calls_cost_and_never_a_key(client_of: ClientOf, cast: Cast) -> None:
    make(cast.alpha, "paid")
    set_price(cast.actor("operator"), workspace=cast.alpha, public_name="paid", prompt=Decimal(1), completion=Decimal(2))
    page = client_of("alice").get("/w/alpha/playground/")
    assert config_of(page)["models"][0]["cost"] == {"prompt": 1.0, "completion": 2.0, "cached": 1.0, "is_most": False}
    assert b"sk-" not in page.content


@pytest.mark.parametrize(("amounts", "cost"), [
    ([None], None), ([], None), ([None, None], None),
    ([(Decimal(1), Decimal(2), None)], (1, 2, 1, False)),
    ([(Decimal(1), Decimal(2), Decimal("0.5"))] * 2, (1, 2, 0.5, False)),
    ([(Decimal(1), Decimal(2), None), (Decimal(3), Decimal(1), None)], (3, 2, 3, True)),
    ([(Decimal(1), Decimal(2), None), None], (1, 2, 1, True)),
])
def test_a_route_has_one_price_or_the_highest(amounts: list[Any], cost: tuple[float, ...] | None) -> None:
    found = cost_of(amounts)
    assert (found and (found.prompt, found.completion, found.cached, found.is_most)) == cost


def test_the_page_takes_few_queries_however_many_models(
        client_of: ClientOf, cast: Cast, django_assert_max_num_queries: Any) -> None:
    alice = client_of("alice")
    for number in range(3):
        make_route(cast.alpha, f"route-{number}", make(cast.alpha, f"chat-{number}"), make(cast.alpha, f"more-{number}"))
    uid = str(Endpoint.objects.get(name="chat-1").uid)
    alice.get("/w/alpha/playground/")  # the first page of a session writes the session down
    with django_assert_max_num_queries(20) as few:
        alice.get("/w/alpha/playground/", {"endpoint": uid})
    for number in range(3, 12):
        make_route(cast.alpha, f"route-{number}", make(cast.alpha, f"chat-{number}"))
    with django_assert_max_num_queries(len(few)):
        assert alice.get("/w/alpha/playground/", {"endpoint": uid}).status_code == 200


def test_every_task_is_tried_somewhere_or_left_out_on_purpose() -> None:
    assert set(Task.values) - TRIED_TASKS == {Task.SPEECH}
    assert {kind_for(task).name for task in TRIED_TASKS} == {"chat", "embeddings", "rerank"}
    assert kind_for("").name == "chat"
    assert len({kind.name for kind in KINDS}) == len(KINDS)


def test_the_script_says_the_words_that_it_is_given() -> None:
    files = Path(settings.BASE_DIR, "static", "web").glob("playground-*.js")
    script = "\n".join(path.read_text() for path in files)
    said = set(re.findall(r'"([a-z_]+)"', script))
    said |= set(re.findall(r"\b(\w+): \[\"is-", script))
    given = {name for name in words() if not name.startswith(("limit_", "of_"))}
    assert (given - said, set(re.findall(r'word\("([a-z_]+)"', script)) - given) == (set(), set())
    assert all(words().values())


def test_a_viewer_is_told_who_may(client_of: ClientOf, cast: Cast) -> None:
    make(cast.alpha, "chat")
    page = client_of("vera").get("/w/alpha/playground/")
    assert (page.status_code, b"Your role lets you look" in page.content) == (200, True)
    assert b"data-config" not in page.content


KEY = "/w/alpha/playground/key/"


def test_a_drawn_key_calls_the_chosen_models_for_some_minutes(client_of: ClientOf, cast: Cast) -> None:
    make_route(cast.alpha, "both", make(cast.alpha, "one"))
    make(cast.alpha, "two")
    answer = client_of("bob").post(KEY, {"model": ["one", "both"]})
    row = ApiKey.objects.get()
    told = answer.json()
    assert told["key"].startswith(f"sk-{row.public_id}-")
    assert "no-store" in answer["Cache-Control"]
    assert (row.scopes, row.model_names, row.created_by, row.is_of_page) == (["inference"], ["both", "one"], cast.bob, True)
    assert row.expires_at is not None
    assert abs(row.expires_at - timezone.now() - LIVES) < timedelta(seconds=20)
    known = Loader().find_keys([row.public_id])[row.public_id]
    assert (known.may_call, known.member_id, known.allows("one"), known.allows("two")) == (True, cast.bob.pk, True, False)
    secret = told["key"].split("-", 2)[2]
    assert secret not in json.dumps(list(AuditEntry.objects.values("before", "after", "object_label")), default=str)


@pytest.mark.parametrize(("person", "body", "status"), [
    ("alice", {}, 422), ("alice", {"model": "nobody"}, 422), ("alice", {"model": "beta-chat"}, 422),
    ("alice", {"model": "going"}, 422), ("alice", {"model": ["one", "nobody"]}, 422),
    ("alice", {"model": ["one", "a", "b", "c"]}, 422), ("vera", {"model": "one"}, 403), ("charlie", {"model": "one"}, 404),
    ("alice", {"model": "one"}, 200), ("operator", {"model": "one"}, 200)])
def test_who_gets_a_key_for_what(client_of: ClientOf, cast: Cast, person: str, body: dict[str, Any], status: int) -> None:
    make(cast.alpha, "one")
    make(cast.alpha, "going", wish="deleted")
    make(cast.beta, "beta-chat")
    answer = client_of(person).post(KEY, body)
    assert answer.status_code == status
    assert ApiKey.objects.count() == (status == 200)
    if status == 422:
        assert answer.json()["error"]["field"] == "model"


def test_nobody_and_no_get_draw_keys(client: Client, client_of: ClientOf, cast: Cast) -> None:
    assert client.post(KEY, {"model": "one"}, headers={"HX-Request": "true"}).status_code == 401
    assert client_of("alice").get(KEY).status_code == 405
    alice = Client(enforce_csrf_checks=True)
    alice.force_login(cast.alice)
    assert alice.post(KEY, {"model": "one"}).status_code == 403
    assert not ApiKey.objects.exists()


def test_keys_can_not_be_drawn_without_end(cast: Cast, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_DRAWN >= 20
    monkeypatch.setattr(page_keys, "MOST_DRAWN", 2)
    alice = cast.actor("alice")
    for _time in range(2):
        draw_key(alice, cast.alpha, name="x", model_names=["m"])
    with pytest.raises(TooMany):
        draw_key(alice, cast.alpha, name="x", model_names=["m"])
    make(cast.alpha, "one")
    answer = client_of("alice").post(KEY, {"model": "one"})
    assert (answer.status_code, int(answer["Retry-After"]) > 60) == (429, True)
    draw_key(cast.actor("bob"), cast.alpha, name="x", model_names=["m"])  # each person has their own number
    ApiKey.objects.filter(created_by=cast.alice).update(created_at=timezone.now() - LIVES)
    draw_key(alice, cast.alpha, name="x", model_names=["m"])


def test_an_operator_who_is_no_member_gets_no_key_that_would_not_open(cast: Cast) -> None:
    helper = make_user("helper")
    helper.user_permissions.add(Permission.objects.get(codename="operate"))
    with pytest.raises(NotAllowed, match="need a member"):
        draw_key(Actor(user=type(helper).objects.get(pk=helper.pk)), cast.alpha, name="x", model_names=["m"])
    assert not ApiKey.objects.exists()


def test_a_key_draws_no_key(cast: Cast) -> None:
    key, _text = create_key(cast.actor("alice"), cast.alpha, name="ci", scopes=["inference", "read"])
    with pytest.raises(NotAllowed):
        draw_key(Actor(user=cast.alice, key=key), cast.alpha, name="x", model_names=["m"])


def test_drawn_keys_are_told_apart_and_forgotten(cast: Cast) -> None:
    alice = cast.actor("alice")
    own, _text = create_key(alice, cast.alpha, name="ci")
    old, _text = draw_key(alice, cast.alpha, name="x", model_names=["m"])
    young, _text = draw_key(alice, cast.alpha, name="x", model_names=["m"])
    assert list(ApiKey.objects.of_people()) == [own]
    assert set(ApiKey.objects.of_pages()) == {old, young}
    for row in (old, own):
        ApiKey.objects.filter(pk=row.pk).update(expires_at=timezone.now() - KEPT - timedelta(minutes=1))
    assert forget_old() == 1
    assert set(ApiKey.objects.all()) == {own, young}
    Membership.objects.filter(user=cast.alice).delete()
    assert not ApiKey.objects.usable(timezone.now()).exists(), "who leaves takes the key's right along"
