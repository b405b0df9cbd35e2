"""Every page of the admin opens for those who may see it, and shows nothing of a neighbour to others."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from portal.tenancy.models import AuditEntry
from tests.cast import Cast
from tests.portal.world import World, make_world

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


def test_the_first_page_opens(world: World, operator: Client) -> None:
    assert operator.get(reverse("admin:index")).status_code == 200
    assert AuditEntry.objects.exists()
