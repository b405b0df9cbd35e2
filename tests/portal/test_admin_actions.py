"""Each action of the admin is hidden without its right, asks first, acts once, and reports what was refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from clusters.models import EnrolmentToken, Host
from endpoints import services
from endpoints.models import Endpoint, Event, Revision
from endpoints.states import Wish
from portal.tenancy.models import ApiKey, AuditEntry, User
from tests.cast import Cast
from tests.portal.conftest import grant, signed_in
from tests.portal.world import World, make_endpoint, make_world

pytestmark = pytest.mark.both_databases
LIST = "/admin/endpoints/endpoint/"
RIGHTS = {"deploy": "deploy_endpoint", "start": "start_endpoint", "stop": "stop_endpoint", "retry": "retry_endpoint",
          "scale": "scale_endpoint", "update": "update_endpoint", "roll_back": "rollback_endpoint",
          "remove": "delete_endpoint"}
CHOICES: dict[str, dict[str, Any]] = {
    "scale": {"replicas": "3"}, "update": {"arguments": '{"max-model-len": 2048}', "note": "n"},
    "roll_back": {"number": "1"}, "remove": {"typed_name": "alpha-chat"},
}


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


def token_on(answer: Any) -> str:
    """The one-time token of the confirmation page."""
    found = re.search(r'name="confirm_token" value="([0-9a-f]{32})"', answer.content.decode())
    assert found, answer.content.decode()[:2000]
    return found[1]


def said(answer: Any) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


def choose(client: Client, action: str, *pks: int, **more: Any) -> Any:
    return client.post(LIST, {"action": action, ACTION_CHECKBOX_NAME: [str(pk) for pk in pks], **more})


def word_on(answer: Any) -> str:
    """The word of the plan that the page shows, or ""."""
    found = re.search(r'name="preview_word" value="([^"]*)"', answer.content.decode()) if answer.status_code == 200 else None
    return found[1] if found else ""


def approve(send: Callable[..., Any], asked: Any, **values: Any) -> Any:
    """Confirm what the page asked: where a plan comes first, look at it and confirm that."""
    values["confirm_token"] = token_on(asked)
    if not word_on(asked):
        asked = send(**values)
        if not word_on(asked):
            return asked
    return send(**values, preview_word=word_on(asked))


def confirm(client: Client, action: str, *pks: int, **more: Any) -> Any:
    return approve(lambda **values: choose(client, action, *pks, **values), choose(client, action, *pks), **more)


def detail(world: World, action: str) -> str:
    return reverse(f"admin:endpoints_endpoint_{action}", args=[world.ours.pk])


@pytest.mark.parametrize("action", RIGHTS)
def test_an_action_is_hidden_and_refused_without_its_right(
    world: World, staff: Callable[..., User], action: str,
) -> None:
    user = staff("dora", world.cast.alpha, "view_endpoint")
    client = signed_in(user)
    assert f'value="{action}"' not in client.get(LIST).content.decode()
    page = client.get(reverse("admin:endpoints_endpoint_change", args=[world.ours.pk])).content.decode()
    assert detail(world, action) not in page
    assert client.get(detail(world, action)).status_code == 403
    assert client.post(detail(world, action), {"confirm_token": "x" * 32, **CHOICES.get(action, {})}).status_code == 403
    choose(client, action, world.ours.pk, confirm_token="x" * 32, **CHOICES.get(action, {}))
    assert Endpoint.objects.get(pk=world.ours.pk).generation == world.ours.generation
    grant(user, RIGHTS[action])
    client = signed_in(User.objects.get(pk=user.pk))
    assert f'value="{action}"' in client.get(LIST).content.decode()
    assert detail(world, action) in client.get(
        reverse("admin:endpoints_endpoint_change", args=[world.ours.pk])).content.decode()


@pytest.mark.parametrize("action", RIGHTS)
def test_an_action_asks_then_writes_one_wish(world: World, staff: Callable[..., User], action: str) -> None:
    prepare(world, action)
    client = signed_in(staff("dora", world.cast.alpha, "view_endpoint", RIGHTS[action], role="developer"))
    before = Endpoint.objects.get(pk=world.ours.pk)
    asked = client.get(detail(world, action))
    assert "alpha-chat" in asked.content.decode()
    assert "no-store" in asked["Cache-Control"]
    assert Endpoint.objects.get(pk=world.ours.pk).generation == before.generation
    answer = approve(lambda **values: client.post(detail(world, action), values), asked,
                     generation=before.generation, **CHOICES.get(action, {}))
    assert answer.status_code == 302
    assert ["started" in line for line in said(answer)] == [True], said(answer)
    after = Endpoint.objects.get(pk=world.ours.pk)
    assert after.generation == before.generation + 1
    entry = AuditEntry.objects.latest("pk")
    assert entry.actor_label == "dora"
    assert entry.request_id == answer["X-Request-Id"]


def prepare(world: World, action: str) -> None:
    actor = world.cast.actor("operator")
    if action == "start":
        services.stop(actor, world.ours)
    if action == "roll_back":
        services.update(actor, world.ours, arguments={"max-model-len": 1024})


def test_the_list_names_the_rows_and_counts_refusals(world: World, operator: Client) -> None:
    services.stop(world.cast.actor("operator"), world.theirs)
    asked = choose(operator, "stop", world.ours.pk, world.theirs.pk)
    page = asked.content.decode()
    assert "Stop 2 endpoints" in page
    assert "alpha-chat" in page
    assert "beta-secret-chat" in page
    answer = choose(operator, "stop", world.ours.pk, world.theirs.pk, confirm_token=token_on(asked))
    lines = said(answer)
    assert lines[0] == "Stop: 1 started, 1 refused."
    assert lines[1].startswith("beta-secret-chat: ")
    assert Endpoint.objects.get(pk=world.ours.pk).wish == Wish.STOPPED


def test_a_double_click_acts_once_and_says_the_same(world: World, operator: Client) -> None:
    asked = choose(operator, "retry", world.ours.pk)
    more = {"confirm_token": token_on(asked), "preview_word": word_on(asked)}
    first, second = (choose(operator, "retry", world.ours.pk, **more) for _ in range(2))
    assert said(first)[-1] == said(second)[-1] == "Retry: 1 started."
    assert Endpoint.objects.get(pk=world.ours.pk).generation == world.ours.generation + 1
    assert Event.objects.filter(endpoint=world.ours, message__contains="Another try").count() == 1


def test_forged_ids_of_a_neighbour_change_nothing(world: World, staff: Callable[..., User]) -> None:
    client = signed_in(staff("mallory", world.cast.alpha, "view_endpoint", "stop_endpoint", "delete_endpoint"))
    for ids in ((world.ours.pk, world.theirs.pk), (world.ours.pk, 999_999)):
        asked = choose(client, "stop", *ids)
        assert "beta-secret" not in asked.content.decode()
        assert "One of the chosen rows does not exist." in asked.content.decode()
    answer = choose(client, "stop", world.ours.pk, world.theirs.pk, confirm_token=token_on(asked))
    assert said(answer) == ["Stop: 1 started, 1 refused.", "There is no such object."]
    assert Endpoint.objects.get(pk=world.theirs.pk).wish == Wish.RUNNING


def test_everything_means_everything_in_scope(world: World, staff: Callable[..., User]) -> None:
    client = signed_in(staff("mallory", world.cast.alpha, "view_endpoint", "stop_endpoint"))
    more = make_endpoint(world.cast, world.cast.alpha, world.shared, world.profile, "alpha-more")
    asked = choose(client, "stop", world.ours.pk, select_across="1")
    assert "alpha-more" in asked.content.decode()
    choose(client, "stop", world.ours.pk, more.pk, select_across="1", confirm_token=token_on(asked))
    wishes = dict(Endpoint.objects.values_list("name", "wish"))
    assert wishes == {"alpha-chat": "stopped", "alpha-more": "stopped", "beta-secret-chat": "running"}


def test_a_role_in_the_workspace_counts_besides_the_right(world: World, staff: Callable[..., User]) -> None:
    client = signed_in(staff("vic", world.cast.alpha, "view_endpoint", "stop_endpoint", role="viewer"))
    answer = confirm(client, "stop", world.ours.pk)
    assert said(answer)[0] == "Stop: 0 started, 1 refused."
    assert Endpoint.objects.get(pk=world.ours.pk).wish == Wish.RUNNING


def test_a_stale_decision_is_refused_with_who_and_when(world: World, operator: Client) -> None:
    token = token_on(operator.get(detail(world, "stop")))
    services.scale(world.cast.actor("bob"), world.ours, 2)
    answer = operator.post(detail(world, "stop"), {"confirm_token": token, "generation": world.ours.generation - 1})
    assert "bob" in said(answer)[1]
    assert Endpoint.objects.get(pk=world.ours.pk).wish == Wish.RUNNING


def test_deleting_asks_for_the_typed_name_on_every_road(world: World, operator: Client) -> None:
    for address in (detail(world, "remove"), reverse("admin:endpoints_endpoint_delete", args=[world.ours.pk])):
        asked = operator.get(address)
        assert "Type “alpha-chat” to confirm" in asked.content.decode()
        wrong = operator.post(address, {"confirm_token": token_on(asked), "typed_name": "alpha"})
        assert "Type the name exactly" in wrong.content.decode()
        assert Endpoint.objects.get(pk=world.ours.pk).wish == Wish.RUNNING
    answer = operator.post(address, {"confirm_token": token_on(asked), "typed_name": "alpha-chat"})
    assert said(answer) == ["Delete: 1 started."]
    row = Endpoint.objects.get(pk=world.ours.pk)
    assert row.wish == Wish.DELETED, "the row goes only when everything outside is gone"


def test_deleting_many_asks_for_a_tick(world: World, operator: Client) -> None:
    asked = choose(operator, "remove", world.ours.pk, world.theirs.pk)
    again = choose(operator, "remove", world.ours.pk, world.theirs.pk, confirm_token=token_on(asked))
    assert "I have read the list" in again.content.decode()
    assert not Endpoint.objects.filter(wish=Wish.DELETED).exists()
    choose(operator, "remove", world.ours.pk, world.theirs.pk, confirm_token=token_on(again), read="on")
    assert Endpoint.objects.filter(wish=Wish.DELETED).count() == 2


def test_the_frameworks_own_delete_is_gone(world: World, operator: Client) -> None:
    assert "delete_selected" not in operator.get(LIST).content.decode()
    choose(operator, "delete_selected", world.ours.pk, post="yes")
    assert Endpoint.objects.filter(pk=world.ours.pk).exists()


def test_an_action_form_keeps_what_was_typed(world: World, operator: Client) -> None:
    token = token_on(operator.get(detail(world, "update")))
    page = operator.post(detail(world, "update"), {"confirm_token": token, "arguments": "{not json", "note": "my note"})
    assert "{not json" in page.content.decode()
    assert "my note" in page.content.decode()
    assert Revision.objects.filter(endpoint=world.ours).count() == 1


def test_csrf_is_asked_of_every_action(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.cast.operator)
    for address in (detail(world, "stop"), LIST, reverse("admin:clusters_host_drain", args=[world.host.pk])):
        assert client.post(address, {"confirm_token": "x", "action": "stop"}).status_code == 403


def test_hosts_drain_come_back_and_are_forgotten_by_name(world: World, operator: Client) -> None:
    host = Host.objects.get(node__name="host-beta-only")

    def press(verb: str, **more: str) -> list[str]:
        address = reverse(f"admin:clusters_host_{verb}", args=[host.pk])
        return said(operator.post(address, {"confirm_token": token_on(operator.get(address)), **more}))

    assert press("drain") == ["Drain: 1 done."]
    assert Host.objects.get(pk=host.pk).draining
    assert press("undrain")[-1] == "Undrain: 1 done."
    assert not Host.objects.get(pk=host.pk).draining
    assert press("forget", typed_name="host-beta-only")[-1] == "Forget: 1 done."
    assert not Host.objects.filter(pk=host.pk).exists()
    busy = reverse("admin:clusters_host_forget", args=[world.host.pk])
    answer = operator.post(busy, {"confirm_token": token_on(operator.get(busy)), "typed_name": "host-shared"})
    assert "Engines still run on this host" in said(answer)[-1]


def test_a_new_host_gets_a_command_once(world: World, operator: Client) -> None:
    address = reverse("admin:clusters_cluster_add_host", args=[world.shared.pk])
    before = EnrolmentToken.objects.count()
    token = token_on(operator.get(address))
    page = operator.post(address, {"confirm_token": token, "address": "10.0.0.7"})
    assert "no-store" in page["Cache-Control"]
    text = re.search(r'<code id="once-1">([^<]+)</code>', page.content.decode())
    assert text
    assert EnrolmentToken.digest_of(text[1]) == EnrolmentToken.objects.latest("pk").digest
    assert "clusters.agent" in page.content.decode()
    again = operator.post(address, {"confirm_token": token, "address": "10.0.0.7"})
    assert again.status_code == 302, "a repeated request makes no second token and shows none"
    assert EnrolmentToken.objects.count() == before + 1
    bad = operator.post(address, {"confirm_token": token_on(operator.get(address)), "address": "not an address"})
    assert "not an address of a host" in said(bad)[-1]


def test_revoking_a_key_takes_its_right(world: World, staff: Callable[..., User]) -> None:
    address = reverse("admin:tenancy_apikey_revoke", args=[world.our_key.pk])
    user = staff("dora", world.cast.alpha, "view_apikey")
    assert signed_in(user).get(address).status_code == 403
    grant(user, "revoke_apikey")
    client = signed_in(User.objects.get(pk=user.pk))
    client.post(address, {"confirm_token": token_on(client.get(address))})
    assert ApiKey.objects.get(pk=world.our_key.pk).state == "revoked"


def test_every_action_of_every_page_names_a_right(world: World) -> None:
    for page in admin.site._registry.values():
        for name in (page.actions or ()):
            assert getattr(getattr(page, str(name)), "allowed_permissions", None), (page, name)
