"""Staff of Alpha learn nothing of Beta from the admin, whatever they add to its addresses (T4, T5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db.models import CharField, TextField
from django.test import Client, RequestFactory
from django.urls import reverse

from portal.tenancy import audit
from portal.tenancy.fields import EncryptedField
from portal.tenancy.models import Membership, User
from tests.cast import Cast, make_user
from tests.portal.conftest import STORAGES, signed_in
from tests.portal.world import World, make_world

from .crawling import crawl
from .neighbours import make_neighbours, rows_of
from .planting import plant

pytestmark = pytest.mark.django_db
TOKEN = "zqxb7f3e9"
SEARCHED = TOKEN[:6]
PAGES = sorted(admin.site._registry, key=lambda model: model._meta.label)
MORE = ("", "?_facets=1", "?_popup=1&_to_field=id", f"?q={SEARCHED}", "?o=-1")
SECRETS = audit.HIDDEN | {"canary"}


@pytest.fixture
def world(cast: Cast, settings: Any) -> World:
    settings.STORAGES = STORAGES
    settings.PORTAL_AWS_ENDPOINT = "http://127.0.0.1:1"
    made = make_world(cast)
    make_neighbours(made)
    for _kind, rows in rows_of(cast.beta):
        plant(rows, lambda column: f"{TOKEN} {column}", in_json=False)
    return made


@pytest.fixture
def mallory(world: World) -> Client:
    """Staff of Alpha with every right that there is but those of an operator."""
    user = make_user("mallory", is_staff=True)
    user.user_permissions.set(Permission.objects.exclude(codename="operate"))
    Membership.objects.create(workspace=world.cast.alpha, user=user, role="owner")
    return signed_in(user)


def page(model: Any, name: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def leaks(text: str) -> bool:
    return TOKEN in text.lower()


@pytest.mark.slow
def test_the_whole_admin_has_no_word_of_beta(mallory: Client) -> None:
    """Lists with facets, as pop-ups and searched; the pages of each row that is seen there, also the one before deleting."""
    begin = ["/admin/", "/admin/search/?s=" + SEARCHED, *(page(model, "changelist") + more for model in PAGES for more in MORE)]
    begin += [page(model, "add") + "?_popup=1" for model in PAGES]
    seen = list(crawl(mallory, begin, ("/admin/",), forms=({},), queries=2, most=500))
    assert [each.path for each in seen if leaks(each.text)] == []
    assert len({each.path for each in seen if each.status == 200}) > 300
    assert [each.path for each in seen if each.status >= 500] == []


def test_the_search_would_notice(world: World) -> None:
    operator = signed_in(world.cast.operator)
    found = [model._meta.label for model in PAGES if leaks(operator.get(page(model, "changelist")).content.decode())]
    assert len(found) > 15, found


def relations() -> Iterator[tuple[Any, str]]:
    for model in PAGES:
        yield from ((model, field.name) for field in model._meta.get_fields() if field.is_relation and not field.auto_created)


@pytest.mark.parametrize("term", ["", SEARCHED, "beta"])
def test_choosers_answer_with_the_own_scope_or_not_at_all(mallory: Client, term: str) -> None:
    answered = 0
    for model, name in relations():
        where = {"app_label": model._meta.app_label, "model_name": model._meta.model_name, "field_name": name, "term": term}
        answer = mallory.get(reverse("admin:autocomplete"), where)
        assert answer.status_code in (200, 403), (model, name)
        assert not leaks(answer.content.decode()), (model, name)
        answered += answer.status_code == 200
    assert answered > 10


def lookups(model: Any, depth: int = 3) -> Iterator[tuple[str, Any]]:
    """Every column that can be named from a row of `model`, forwards and backwards along relations."""
    ways: list[tuple[str, Any]] = [("", model)]
    for _step in range(depth):
        further = []
        for way, at in ways:
            for field in at._meta.get_fields():
                name = f"{way}{field.name}"
                if field.is_relation and field.related_model is not None:
                    further.append((f"{name}__", field.related_model))
                else:
                    yield name, field
        ways = further


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label_lower)
def test_no_list_is_narrowed_by_a_secret_or_by_what_lies_behind_a_relation(world: World, model: Any) -> None:
    """The answer to "which of mine belong to one whose name begins with a" tells the name letter by letter."""
    request = RequestFactory().get("/")
    request.user = world.cast.operator
    of = admin.site._registry[model]
    offered = {each if isinstance(each, str) else each[0] for each in of.get_list_filter(request) if not isinstance(each, type)}
    open_ones = []
    for name, field in lookups(model):
        is_secret = isinstance(field, EncryptedField) or field.name in SECRETS
        if not is_secret and ("__" not in name or name in offered or not isinstance(field, CharField | TextField)):
            continue
        open_ones += [name for lookup in ("", "__startswith") if of.lookup_allowed(f"{name}{lookup}", "a", request)]
    assert open_ones == []


def test_such_an_address_is_refused(mallory: Client) -> None:
    for model, lookup in ((User, "memberships__workspace__name__startswith"), (Membership, "user__password__startswith")):
        if model in PAGES:
            assert mallory.get(page(model, "changelist"), {lookup: "z"}).status_code == 400


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label_lower)
def test_no_search_reaches_a_secret(model: Any) -> None:
    for name in admin.site._registry[model].search_fields:
        steps = name.lstrip("=^@").split("__")
        assert not set(steps) & SECRETS, name
        at: Any = model
        for step in steps:
            field = next((field for field in at._meta.get_fields() if field.name == step), None)
            assert not isinstance(field, EncryptedField), name
            if field is None or not field.is_relation:
                break
            at = field.related_model
