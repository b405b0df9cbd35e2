"""Secrets at rest: unreadable in another row, field or address, and in none of the portal's own words."""

from __future__ import annotations

import base64
import json
import os

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact
from portal.logs import hide_secrets
from portal.tenancy import audit, services
from portal.tenancy.fields import SecretUnreadable, seal, unseal
from portal.tenancy.models import ApiKey, AuditEntry
from tests.cast import Cast, make_model


@given(st.text(), st.text())
def test_what_was_sealed_is_read_back_and_nowhere_else(plain: str, place: str) -> None:
    try:
        plain.encode(), place.encode()
    except UnicodeEncodeError:
        return
    sealed = seal(plain, place)
    assert unseal(sealed, place) == plain
    with pytest.raises(SecretUnreadable):
        unseal(sealed, f"{place}!")


@pytest.mark.parametrize("stored", ["", "v1", "v1:x:y", "v2:{id}:{body}", "v1:{id}:AAAA", "v1:{id}:", "{id}", "v1:{id}:%%%%"])
def test_a_damaged_secret_is_unreadable_not_a_crash(stored: str) -> None:
    _version, key_id, body = seal("secret", "here").split(":")
    with pytest.raises(SecretUnreadable) as refused:
        unseal(stored.format(id=key_id, body=body), "here")
    assert "secret:" not in str(refused.value)


def test_the_same_text_is_never_sealed_the_same_way_twice() -> None:
    assert seal("a", "b") != seal("a", "b")


def test_a_secret_copied_to_another_row_cannot_be_read(db: None) -> None:
    first, second = (
        Artifact(model=make_model(slug), kind=ArtifactKind.HUGGING_FACE, location="acme/tiny") for slug in ("one", "two"))
    first.put_secret("token", "hf_one")
    first.save()
    second.token = first.token
    second.save()
    with pytest.raises(SecretUnreadable):
        second.secret("token")


def test_without_the_key_the_secret_stays_closed(settings: Settings) -> None:
    sealed = seal("secret", "here")
    settings.PORTAL_FIELD_KEYS = [base64.urlsafe_b64encode(os.urandom(32)).decode()]
    with pytest.raises(SecretUnreadable):
        unseal(sealed, "here")


def test_a_key_is_in_no_column_of_the_database(cast: Cast) -> None:
    _row, text = services.create_key(cast.actor("alice"), cast.alpha, name="ci")
    secret = text.rpartition("-")[2] if text.count("-") == 2 else text.split("-", 2)[2]
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            assert secret not in str(cursor.fetchall()), table


def test_the_audit_leaves_out_every_secret_field(cast: Cast) -> None:
    key, _text = services.create_key(cast.actor("alice"), cast.alpha, name="ci")
    artifact = Artifact(model=make_model(), kind=ArtifactKind.HUGGING_FACE, location="acme/tiny")
    artifact.put_secret("token", "hf_canary")
    seen = json.dumps([audit.snapshot(key), audit.snapshot(artifact), audit.snapshot(cast.alice)])
    stored = [ApiKey.objects.get().digest, artifact.token, cast.alice.password]
    assert all(text not in seen for text in stored)
    assert "digest" not in AuditEntry.objects.get().after


@pytest.mark.parametrize(("name", "value"), [
    ("password", "x"), ("api_key", "x"), ("Authorization", "x"), ("event", "got sk-" + "a" * 16 + "-" + "b" * 43),
    ("event", "hf_" + "c" * 30), ("headers", "Bearer abc.def"),
])
def test_a_secret_does_not_reach_the_log(name: str, value: str) -> None:
    assert value not in str(hide_secrets(None, "info", {name: value}).values()).replace("got ", "")
    assert "***" in str(hide_secrets(None, "info", {name: value})[name])
