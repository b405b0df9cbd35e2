"""The forms of the admin: saving goes through services, refusals keep the input, nobody overwrites a neighbour's edit."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from endpoints import services
from endpoints.models import Endpoint, Revision
from portal.tenancy.models import ApiKey, AuditEntry, Membership, User, Workspace, digest_of, split_key
from tests.cast import Cast, make_cluster
from tests.portal.conftest import signed_in
from tests.portal.world import World, make_world

pytestmark = pytest.mark.both_databases
ADD = "/admin/endpoints/endpoint/add/"


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


def deploy_form(world: World, **values: Any) -> dict[str, Any]:
    return {"workspace": world.cast.alpha.pk, "cluster": world.shared.pk, "profile": world.profile.pk, "name": "new-chat",
            "public_name": "", "replicas": "2", "arguments": '{"max-model-len": 1024}', "note": "", "deploy_now": "on",
            **values}


def change_form(row: Endpoint, **values: Any) -> dict[str, Any]:
    assert row.wanted is not None
    return {"profile": row.wanted.profile_id, "replicas": row.replicas, "arguments": "{}", "note": "",
            "read_generation": row.generation, **values}


def test_the_add_form_deploys(world: World, operator: Client) -> None:
    answer = operator.post(ADD, deploy_form(world))
    assert answer.status_code == 302, answer.content.decode()[:3000]
    row = Endpoint.objects.get(name="new-chat")
    assert (row.replicas, row.public_name, row.wish, row.created_by) == (2, "new-chat", "running", world.cast.operator)
    assert row.wanted is not None
    assert row.wanted.spec["arguments"]["max-model-len"] == 1024
    entry = AuditEntry.objects.get(object_uid=str(row.uid))
    assert (entry.verb, entry.request_id) == ("create", answer["X-Request-Id"])


def test_without_the_tick_it_stays_stopped(world: World, operator: Client) -> None:
    form = deploy_form(world)
    del form["deploy_now"]
    operator.post(ADD, form)
    assert Endpoint.objects.get(name="new-chat").wish == "stopped"


@pytest.mark.parametrize(("field", "value", "words"), [
    ("name", "Bad Name", "lower-case"), ("name", "alpha-chat", "already"), ("replicas", "0", "1 to 64 replicas"),
    ("arguments", '{"port": 1}', "port"), ("arguments", "[1]", "one JSON object"), ("arguments", "{", "JSON"),
    ("public_name", "-x-", "letter or digit"), ("profile", "999999", "valid choice"), ("cluster", "999999", "valid choice"),
])
def test_a_refused_deployment_keeps_the_input(
    world: World, operator: Client, field: str, value: str, words: str,
) -> None:
    answer = operator.post(ADD, deploy_form(world, note="keep me", **{field: value}))
    page = answer.content.decode()
    assert answer.status_code == 200
    assert words in page
    assert "keep me" in page
    assert not Endpoint.objects.filter(name="new-chat").exists()
    assert Endpoint.objects.count() == 2


def test_foreign_ids_in_the_form_are_no_choices(world: World, staff: Callable[..., User]) -> None:
    rights = ("add_endpoint", "deploy_endpoint", "view_endpoint", "view_workspace", "view_cluster", "view_profile")
    client = signed_in(staff("dora", world.cast.alpha, *rights, role="developer"))
    for field, value in (("workspace", world.cast.beta.pk), ("cluster", world.their_place.pk)):
        answer = client.post(ADD, deploy_form(world, **{field: value}))
        assert answer.status_code == 200
        assert "valid choice" in answer.content.decode()
        assert "beta-place" not in answer.content.decode()
    assert client.post(ADD, deploy_form(world)).status_code == 302


def test_making_is_not_deploying(world: World, staff: Callable[..., User]) -> None:
    client = signed_in(staff("dora", world.cast.alpha, "add_endpoint", "view_endpoint", role="developer"))
    answer = client.post(ADD, deploy_form(world))
    assert "Take the tick away" in answer.content.decode()
    assert not Endpoint.objects.filter(name="new-chat").exists()


def test_a_place_that_cannot_take_it_says_so_at_its_field(world: World, operator: Client) -> None:
    place = make_cluster("cloud", kind="sagemaker")
    page = operator.post(ADD, deploy_form(world, cluster=place.pk)).content.decode()
    assert "InstanceType: Say on which instances it runs" in page


def test_the_change_form_scales_and_updates(world: World, operator: Client) -> None:
    address = reverse("admin:endpoints_endpoint_change", args=[world.ours.pk])
    answer = operator.post(address, change_form(world.ours, replicas="3", arguments='{"max-model-len": 512}', note="why"))
    assert answer.status_code == 302, answer.content.decode()[:3000]
    row = Endpoint.objects.select_related("wanted").get(pk=world.ours.pk)
    assert row.wanted is not None
    assert (row.replicas, row.wanted.number, row.wanted.note) == (3, 2, "why")
    assert row.wanted.spec["arguments"] == {"max-model-len": 512}
    same = operator.post(address, change_form(row, arguments='{"max-model-len": 512}'))
    assert same.status_code == 302
    assert Endpoint.objects.get(pk=row.pk).generation == row.generation, "nothing differs, nothing is wished"


def test_the_change_form_sets_the_affinity(world: World, operator: Client) -> None:
    address = reverse("admin:endpoints_endpoint_change", args=[world.ours.pk])
    assert "prompts that begin alike" in operator.get(address).content.decode()
    answer = operator.post(address, change_form(world.ours, affinity="prefix", replicas="3"))
    assert answer.status_code == 302, answer.content.decode()[:3000]
    row = Endpoint.objects.get(pk=world.ours.pk)
    assert (row.affinity, row.replicas, row.generation) == ("prefix", 3, world.ours.generation + 2)


def test_frozen_fields_stay(world: World, operator: Client) -> None:
    address = reverse("admin:endpoints_endpoint_change", args=[world.ours.pk])
    operator.post(address, change_form(world.ours, name="other", workspace=world.cast.beta.pk, public_name="other",
                                       status="FAILED", cluster=world.their_place.pk))
    row = Endpoint.objects.get(pk=world.ours.pk)
    assert (row.name, row.public_name, row.workspace_id, row.status) == ("alpha-chat", "alpha-chat", world.cast.alpha.pk,
                                                                         "PENDING")


def test_two_operators_do_not_overwrite_each_other(world: World, operator: Client) -> None:
    address = reverse("admin:endpoints_endpoint_change", args=[world.ours.pk])
    opened = change_form(world.ours)
    services.scale(world.cast.actor("bob"), Endpoint.objects.get(pk=world.ours.pk), 5)
    answer = operator.post(address, {**opened, "replicas": "2", "note": "mine"})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "was changed by bob" in page
    assert re.search(r"\d\d:\d\d:\d\d UTC", page)
    assert "mine" in page
    assert Endpoint.objects.get(pk=world.ours.pk).replicas == 5


def test_changing_needs_the_verbs_own_right(world: World, staff: Callable[..., User]) -> None:
    client = signed_in(staff("dora", world.cast.alpha, "change_endpoint", "view_endpoint", role="developer"))
    address = reverse("admin:endpoints_endpoint_change", args=[world.ours.pk])
    assert "You lack the right to scale" in client.post(address, change_form(world.ours, replicas="2")).content.decode()
    assert Endpoint.objects.get(pk=world.ours.pk).replicas == 1


def test_revisions_can_be_compared(world: World, operator: Client) -> None:
    services.update(world.cast.actor("operator"), world.ours, arguments={"max-model-len": 777})
    address = reverse("admin:endpoints_endpoint_compare", args=[world.ours.pk])
    page = operator.get(address, {"from": "1", "to": "2"}).content.decode()
    assert "arguments.max-model-len" in page
    assert "777" in page
    assert operator.get(address, {"from": "1", "to": "9"}).status_code == 404
    assert operator.get(address, {"from": "x", "to": "9" * 40}).status_code in {200, 404}
    assert Revision.objects.filter(endpoint=world.ours).count() == 2


def test_a_key_is_shown_whole_once(world: World, operator: Client) -> None:
    form = {"workspace": world.cast.alpha.pk, "name": "ci", "scopes": ["inference", "read"], "model_names": "a\nb\n"}
    answer = operator.post("/admin/tenancy/apikey/add/", form)
    page = answer.content.decode()
    found = re.search(r"sk-[a-z0-9]{16}-[\w-]{43}", page)
    assert found, page[:3000]
    assert "no-store" in answer["Cache-Control"]
    row = ApiKey.objects.get(name="ci")
    parts = split_key(found[0])
    assert parts is not None
    assert row.digest == digest_of(parts[1])
    assert (row.scopes, row.model_names) == (["inference", "read"], ["a", "b"])
    for address in ("/admin/tenancy/apikey/", f"/admin/tenancy/apikey/{row.pk}/change/", "/admin/"):
        later = operator.get(address).content.decode()
        assert found[0] not in later
        assert parts[1] not in later
    assert f"sk-…{row.last4}" in operator.get("/admin/tenancy/apikey/").content.decode()
    assert not AuditEntry.objects.filter(after__icontains=parts[1]).exists()


def test_workspaces_and_members_go_through_the_services(world: World, operator: Client) -> None:
    answer = operator.post("/admin/tenancy/workspace/add/", {"name": "Gamma", "slug": "gamma", "max_gpus": "4"})
    assert answer.status_code == 302, answer.content.decode()[:3000]
    row = Workspace.objects.get(slug="gamma")
    assert row.max_gpus == 4
    owner = Membership.objects.get(workspace=row)
    address = f"/admin/tenancy/workspace/{row.pk}/change/"
    rows = {"memberships-TOTAL_FORMS": "2", "memberships-INITIAL_FORMS": "1", "memberships-0-id": owner.pk,
            "memberships-0-workspace": row.pk, "memberships-0-role": "owner", "memberships-1-workspace": row.pk,
            "memberships-1-user": world.cast.bob.pk, "memberships-1-role": "developer"}
    answer = operator.post(address, {"name": "Gamma rays", "max_gpus": "8", **rows})
    assert answer.status_code == 302, answer.content.decode()[:3000]
    row = Workspace.objects.get(slug="gamma")
    assert (row.name, row.max_gpus, row.slug) == ("Gamma rays", 8, "gamma")
    assert Membership.objects.get(workspace=row, user=world.cast.bob).role == "developer"
    verbs = list(AuditEntry.objects.filter(workspace=row).values_list("verb", flat=True))
    assert "add member" in verbs
    assert "change" in verbs


def test_the_last_owner_cannot_be_taken_out(world: World, operator: Client) -> None:
    beta, owner = world.cast.beta, Membership.objects.get(workspace=world.cast.beta)
    rows = {"memberships-TOTAL_FORMS": "1", "memberships-INITIAL_FORMS": "1", "memberships-0-id": owner.pk,
            "memberships-0-workspace": beta.pk, "memberships-0-role": "owner", "memberships-0-DELETE": "on"}
    answer = operator.post(f"/admin/tenancy/workspace/{beta.pk}/change/", {"name": "Renamed", **rows})
    assert "The last owner can" in answer.content.decode()
    assert Membership.objects.filter(pk=owner.pk).exists()
    beta.refresh_from_db()
    assert beta.name == "Beta", "a refused save changes nothing at all"


def test_staff_cannot_raise_themselves(world: World, staff: Callable[..., User]) -> None:
    user = staff("sly", None, "operate", "view_user", "change_user", "view_group", "change_group")
    client = signed_in(user)
    form = {"username": "sly", "email": "", "is_active": "on", "is_staff": "on", "is_superuser": "on", "language": ""}
    client.post(f"/admin/tenancy/user/{user.pk}/change/", form)
    assert not User.objects.get(pk=user.pk).is_superuser
    boss = world.cast.operator
    assert client.post(f"/admin/tenancy/user/{boss.pk}/change/", form).status_code == 403
    assert client.get(f"/admin/tenancy/user/{boss.pk}/password/").status_code == 403
    assert client.post(f"/admin/auth/group/{Group.objects.get().pk}/change/", {"name": "x"}).status_code == 403


def test_a_changed_password_ends_the_other_sessions(world: World, operator: Client) -> None:
    other = signed_in(world.cast.alice)
    User.objects.filter(pk=world.cast.alice.pk).update(is_staff=True)
    assert other.get("/admin/").status_code == 200
    new = {"password1": "Correct-horse-9", "password2": "Correct-horse-9", "usable_password": "true"}
    answer = operator.post(f"/admin/tenancy/user/{world.cast.alice.pk}/password/", new)
    assert answer.status_code == 302, answer.content.decode()[:2000]
    assert other.get("/admin/").status_code == 302
    assert Client().login(username="alice", password="Correct-horse-9")
