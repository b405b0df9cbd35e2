"""The admin's pages need no collected static files in tests, and staff with exactly the rights that a test names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from portal.tenancy.models import Membership, User, Workspace
from tests.cast import Cast, make_user

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}


@pytest.fixture(autouse=True)
def plain_static_files(settings: Any) -> None:
    settings.STORAGES = STORAGES


@pytest.fixture(autouse=True)
def nobody_answers_for_aws(settings: Any) -> None:
    settings.PORTAL_AWS_ENDPOINT = "http://127.0.0.1:1"


@pytest.fixture
def operator(cast: Cast) -> Client:
    return signed_in(cast.operator)


@pytest.fixture
def staff(cast: Cast) -> Callable[..., User]:
    """A maker of members of staff: staff("dora", cast.beta, "view_endpoint", role="owner")."""

    def make(name: str, workspace: Workspace | None, *rights: str, role: str = "owner") -> User:
        user = make_user(name, is_staff=True)
        grant(user, *rights)
        if workspace is not None:
            Membership.objects.create(workspace=workspace, user=user, role=role)
        return user

    return make


def signed_in(user: User) -> Client:
    """A browser that was here before: the first request of a session writes it down, which costs queries of its own."""
    client = Client()
    client.force_login(user)
    client.get("/healthz")
    return client


def grant(user: User, *rights: str) -> None:
    found = Permission.objects.filter(codename__in=rights)
    assert found.count() == len(rights), f"unknown right among {rights}"
    user.user_permissions.add(*found)


def all_view_rights() -> list[str]:
    return list(Permission.objects.filter(codename__startswith="view_").values_list("codename", flat=True))
