"""Every page of the admin opens for those who may see it, and shows nothing of a neighbour to others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from clusters.models import Engine, Host, Node
from endpoints.models import Endpoint, Event, Revision
from portal.tenancy.models import ApiKey, AuditEntry, User
from tests.cast import Cast, make_cluster, make_host, make_profile
from tests.portal.conftest import all_view_rights, signed_in
from tests.portal.world import World, make_world

pytestmark = pytest.mark.both_databases

ENDPOINT_RIGHTS = ("add_endpoint", "change_endpoint", "delete_endpoint", "deploy_endpoint", "stop_endpoint", "start_endpoint",
                   "scale_endpoint", "update_endpoint", "rollback_endpoint", "retry_endpoint")
PAGES = sorted(admin.site._registry, key=lambda model: model._meta.label)


def url(model: Any, name: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label_lower)
def test_every_page_opens_for_a_superuser(world: World, operator: Client, model: Any) -> None:
    page = admin.site._registry[model]
    answer = operator.get(url(model, "changelist"))
    assert answer.status_code == 200
    assert operator.get(url(model, "changelist"), {"q": "a"}).status_code == 200
    row = model._default_manager.first()
    assert row is not None, f"the world has no {model.__name__}"
    assert operator.get(url(model, "change", row.pk)).status_code == 200
    request = answer.wsgi_request
    assert operator.get(url(model, "add")).status_code == (200 if page.has_add_permission(request) else 403)
    assert operator.get(url(model, "history", row.pk)).status_code == 200


def test_the_first_page_says_what_needs_a_person(world: World, operator: Client) -> None:
    page = operator.get(reverse("admin:index")).content.decode()
    assert "All is well" in page
    Endpoint.objects.filter(pk=world.ours.pk).update(status="FAILED", message="Out of memory on host-shared")
    page = operator.get(reverse("admin:index")).content.decode()
    assert "One endpoint needs you" in page
    assert "Out of memory on host-shared" in page


def test_an_empty_portal_offers_the_next_act(cast: Cast, operator: Client) -> None:
    assert "Make a place for hosts" in operator.get(reverse("admin:index")).content.decode()
    make_host(make_cluster("hosts"))
    assert "Shelve a model" in operator.get(reverse("admin:index")).content.decode()
    make_profile()
    page = operator.get(reverse("admin:index")).content.decode()
    assert "Deploy a model" in page
    assert "Nothing is deployed yet" in page


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label_lower)
def test_every_page_opens_for_an_operator_who_is_no_superuser(
    world: World, staff: Callable[..., User], model: Any,
) -> None:
    client = signed_in(staff("ops", None, "operate", *all_view_rights()))
    assert client.get(url(model, "changelist")).status_code == 200
    row = model._default_manager.first()
    assert client.get(url(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label_lower)
def test_staff_of_another_workspace_see_nothing_of_it(world: World, staff: Callable[..., User], model: Any) -> None:
    client = signed_in(staff("mallory", world.cast.alpha, *all_view_rights()))
    for params in ({}, {"q": "beta"}, {"workspace": str(world.cast.beta.pk)}):
        page = client.get(url(model, "changelist"), params, follow=True).content.decode()
        assert not leaks(page), model


def test_what_staff_must_not_see_is_there_for_an_operator(world: World, operator: Client) -> None:
    for model in (Endpoint, ApiKey, Host):
        assert leaks(operator.get(url(model, "changelist")).content.decode())
    assert leaks(operator.get(reverse("admin:search"), {"s": "beta", "extended": "1"}).content.decode())


@pytest.mark.parametrize("page", ["index", "search"])
def test_first_page_and_search_keep_to_the_persons_scope(
    world: World, staff: Callable[..., User], page: str,
) -> None:
    client = signed_in(staff("mallory", world.cast.alpha, *all_view_rights()))
    text = client.get(reverse(f"admin:{page}"), {"s": "beta", "extended": "1"}).content.decode()
    assert not leaks(text)


def test_a_neighbours_object_answers_like_a_missing_one(world: World, staff: Callable[..., User]) -> None:
    client = signed_in(staff("mallory", world.cast.alpha, *all_view_rights(), *ENDPOINT_RIGHTS))
    for row, names in ((world.theirs, ("change", "delete", "stop", "scale", "roll_back")), (world.their_key, ("change",)),
                       (world.their_place, ("change",))):
        for name in names:
            theirs, missing = (client.get(url(type(row), name, pk)) for pk in (row.pk, 999_999))
            assert (theirs.status_code, theirs.url) == (missing.status_code, missing.url) == (302, "/admin/"), (row, name)
    for name in ("live_detail", "compare"):
        assert client.get(reverse(f"admin:endpoints_endpoint_{name}", args=[world.theirs.pk])).status_code == 404
    live = client.get(reverse("admin:endpoints_endpoint_live"), {"ids": f"{world.ours.pk},{world.theirs.pk},x,{9**30}"})
    assert list(live.json()["parts"]) == [str(world.ours.pk)]


@pytest.mark.parametrize(("app", "model", "field"), [
    ("endpoints", "endpoint", "workspace"), ("endpoints", "endpoint", "cluster"), ("endpoints", "revision", "profile"),
    ("tenancy", "apikey", "workspace"), ("tenancy", "membership", "user"), ("clusters", "cluster", "workspace"),
])
def test_choosers_offer_the_own_scope_only(
    world: World, staff: Callable[..., User], app: str, model: str, field: str,
) -> None:
    client = signed_in(staff("mallory", world.cast.alpha, *all_view_rights()))
    where = {"app_label": app, "model_name": model, "field_name": field, "term": ""}
    answer = client.get(reverse("admin:autocomplete"), where)
    assert answer.status_code == 200
    names = " ".join(row["text"] for row in answer.json()["results"])
    assert not leaks(names)
    assert "Beta" not in names
    assert "charlie" not in names


@pytest.mark.parametrize(("page", "lookup"), [
    ("tenancy_user", "password__startswith"), ("tenancy_apikey", "digest__startswith"),
    ("tenancy_apikey", "created_by__password__startswith"), ("endpoints_endpoint", "created_by__password__startswith"),
    ("models_catalog_catalogmodel", "artifacts__token__startswith"),
])
def test_nobody_filters_by_a_secret(world: World, operator: Client, page: str, lookup: str) -> None:
    assert operator.get(reverse(f"admin:{page}_changelist"), {lookup: "p"}).status_code == 400


def test_people_who_are_not_staff_see_the_sign_in_page(world: World) -> None:
    client = signed_in(world.cast.alice)
    for model in PAGES:
        answer = client.get(url(model, "changelist"))
        assert (answer.status_code, answer.url.split("?")[0]) == (302, "/admin/login/")
    assert client.get(reverse("admin:endpoints_endpoint_live")).status_code == 302


def test_headers_keep_pages_out_of_frames_and_scripts_to_our_own(world: World, operator: Client) -> None:
    for address in (reverse("admin:index"), url(Endpoint, "changelist"), url(Endpoint, "change", world.ours.pk),
                    url(Endpoint, "stop", world.ours.pk), reverse("admin:endpoints_endpoint_live")):
        answer = operator.get(address)
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Referrer-Policy"] == "same-origin"
        scripts = answer["Content-Security-Policy"].split("script-src")[1].split(";")[0]
        assert "unsafe-inline" not in scripts
        assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
        assert "no-store" in answer["Cache-Control"] or "max-age=0" in answer["Cache-Control"]


PAYLOAD = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31mred"


def test_text_from_outside_comes_out_escaped(world: World, operator: Client) -> None:
    Endpoint.objects.filter(pk=world.ours.pk).update(message=PAYLOAD, last_error=PAYLOAD + "2", status="FAILED",
                                                     seen_by="<script>")
    Engine.objects.filter(endpoint_uid=world.ours.uid).update(message=PAYLOAD, log=PAYLOAD, previous_log=PAYLOAD)
    Event.objects.create(endpoint=world.ours, kind="error", message=PAYLOAD, actor_label=PAYLOAD)
    Node.objects.filter(pk=world.host.node_id).update(name=PAYLOAD, message=PAYLOAD, labels={PAYLOAD: PAYLOAD})
    Revision.objects.filter(endpoint=world.ours).update(note=PAYLOAD, failure=PAYLOAD)
    AuditEntry.objects.create(verb=PAYLOAD[:40], kind="x", object_label=PAYLOAD, actor_label=PAYLOAD,
                              before={PAYLOAD: PAYLOAD}, after={PAYLOAD: "x"})
    live = reverse("admin:endpoints_endpoint_live_detail", args=[world.ours.pk])
    addresses = [reverse("admin:index"), live, reverse("admin:endpoints_endpoint_live") + f"?ids={world.ours.pk}"]
    for model in (Endpoint, Engine, Node, Host, AuditEntry):
        addresses += [url(model, "changelist"), url(model, "change", model._default_manager.order_by("-pk").last().pk)]
    addresses += [url(Endpoint, "change", world.ours.pk), url(AuditEntry, "change", AuditEntry.objects.latest("pk").pk)]
    for address in addresses:
        answer = operator.get(address)
        text = json.dumps(answer.json()["parts"]) if "live" in address else answer.content.decode()
        assert "<script>alert(1)" not in text, address
        assert "<img src=x" not in text, address
    assert "\x1b" not in operator.get(url(Endpoint, "change", world.ours.pk)).content.decode()


def test_no_page_shows_a_secret(world: World, operator: Client) -> None:
    canary = "c4nary-" + "z" * 20
    engine = Engine.objects.filter(endpoint_uid=world.ours.uid).get()
    engine.put_secret("token", canary)
    engine.launch = {"env": {"HF_TOKEN": canary}}
    engine.save()
    digest = ApiKey.objects.get(pk=world.our_key.pk).digest
    for model in PAGES:
        for row in model._default_manager.all()[:5]:
            text = operator.get(url(model, "change", row.pk), follow=True).content.decode()
            assert canary not in text
            assert digest not in text
            assert engine.token not in text


def leaks(text: str) -> bool:
    """Whether a name that only Beta's objects have stands in `text`; a search term is echoed, so names differ from it."""
    return any(name in text for name in ("beta-secret", "beta-place", "host-beta-only"))


def test_what_is_shown_in_a_chooser_is_found_by_it(world: World, client: Client) -> None:
    client.force_login(world.cast.operator)
    where = {"app_label": "endpoints", "model_name": "revision", "field_name": "profile"}
    shown = str(world.profile)
    assert "·" in shown
    for term, expected in ((shown, [shown]), ("· /", []), ("cpu tiny", [shown])):
        found = client.get(reverse("admin:autocomplete"), {**where, "term": term}).json()["results"]
        assert [one["text"] for one in found] == expected, term
