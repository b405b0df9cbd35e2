"""A new key in front, rewrap, the old key out: secrets stay readable, and a missing key is said before damage."""

from __future__ import annotations

import base64
import os

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact
from portal.tenancy.fields import SecretUnreadable
from portal.tenancy.models import Instance
from tests.cast import make_model

pytestmark = pytest.mark.django_db


def new_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


@pytest.fixture
def artifact(settings: Settings) -> Artifact:
    settings.PORTAL_FIELD_KEYS = [new_key()]
    Instance.check_keys()
    row = Artifact(model=make_model(), kind=ArtifactKind.HUGGING_FACE, location="acme/tiny")
    row.put_secret("token", "hf_secret")
    row.save()
    return row


def test_rewrapping_lets_the_old_key_go(
    artifact: Artifact, settings: Settings, capsys: pytest.CaptureFixture[str],
) -> None:
    settings.PORTAL_FIELD_KEYS = [new_key(), *settings.PORTAL_FIELD_KEYS]
    call_command("rewrap_secrets")
    assert capsys.readouterr().out == "2 secrets encrypted with the newest key.\n"
    settings.PORTAL_FIELD_KEYS = settings.PORTAL_FIELD_KEYS[:1]
    artifact.refresh_from_db()
    assert artifact.secret("token") == "hf_secret"
    Instance.check_keys()
    call_command("rewrap_secrets")
    assert capsys.readouterr().out.startswith("0 ")


def test_a_missing_key_is_said_and_nothing_is_written(artifact: Artifact, settings: Settings) -> None:
    stored = artifact.token
    settings.PORTAL_FIELD_KEYS = [new_key()]
    with pytest.raises(CommandError, match="Put the old key back"):
        call_command("rewrap_secrets")
    with pytest.raises(SecretUnreadable):
        Instance.check_keys()
    artifact.refresh_from_db()
    assert artifact.token == stored


def test_a_secret_does_not_follow_its_row_to_another_address(artifact: Artifact) -> None:
    artifact.location = "evil/tiny"
    with pytest.raises(SecretUnreadable):
        artifact.secret("token")
