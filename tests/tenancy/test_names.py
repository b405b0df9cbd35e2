"""Names: what is refused in words, what collides on every database, and what is made of them outside (T27, T28)."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endpoints import services as endpoints
from portal.tenancy import services
from portal.tenancy.errors import Conflict, Invalid
from portal.tenancy.models import Workspace
from portal.tenancy.rows import new_uid
from portal.tenancy.text import clean, external_name, slug_of
from tests.cast import Cast, make_cluster, make_host, make_profile

DNS_LABEL = re.compile(r"\A[a-z]([a-z0-9-]{0,61}[a-z0-9])?\Z")
BAD_NAMES = [
    "", " ", "Alpha", "1alpha", "-alpha", "alpha-", "al--pha", "al_pha", "al.pha", "a" * 64, "аlpha", "alpha\x00", "alpha\n",
    "\u202ealpha", "alphä", "🦙", "al pha", "alpha ", "xn--alpha",
]


@pytest.mark.both_databases
@pytest.mark.django_db
@pytest.mark.parametrize("slug", BAD_NAMES)
def test_a_short_name_that_no_cluster_takes_is_refused(cast: Cast, slug: str) -> None:
    with pytest.raises(Invalid) as refused:
        services.create_workspace(cast.actor("operator"), name="x", slug=slug)
    assert refused.value.field == "slug"
    assert Workspace.objects.count() == 2


@pytest.mark.both_databases
@pytest.mark.django_db
@pytest.mark.parametrize(("first", "second"), [
    ("Llama", "llama"), ("llama", "LLAMA"), ("org/Llama", "Org/llama"), ("a.b", "A.B"),
])
def test_model_names_that_differ_by_case_only_collide_on_every_database(cast: Cast, first: str, second: str) -> None:
    deploy(cast, "one", first)
    with pytest.raises(Conflict) as refused:
        deploy(cast, "two", second)
    assert refused.value.field == "public_name"


@pytest.mark.both_databases
@pytest.mark.django_db
@pytest.mark.parametrize("name", [
    "llama ", " llama", "llama\t", "ll ama", "llama\u00a0", "ｌlama", "llama\x00", "/llama", "llama/"])
def test_model_names_with_spaces_or_lookalikes_are_refused(cast: Cast, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        deploy(cast, "one", name)
    assert refused.value.field == "public_name"


def deploy(cast: Cast, name: str, public_name: str) -> None:
    place = make_cluster(f"place-{name}")
    make_host(place)
    profile = make_profile(f"m{name}-cpu")
    endpoints.create(cast.actor("alice"), cast.alpha, name=name, cluster=place, profile=profile, public_name=public_name)


@settings(max_examples=500)
@given(st.text(max_size=200))
def test_whatever_the_name_what_is_made_outside_is_a_dns_label(name: str) -> None:
    uid = new_uid()
    made = external_name(name, uid)
    assert DNS_LABEL.match(made)
    assert len(made) <= 50
    assert made != external_name(name, new_uid())
    assert made == external_name(name, uuid.UUID(str(uid)))
    assert DNS_LABEL.match(slug_of(name)[:63].rstrip("-"))


@settings(max_examples=300)
@given(st.text(max_size=300), st.integers(2, 100))
def test_text_from_outside_is_cut_and_stripped(text: str, limit: int) -> None:
    cleaned = clean(text, limit)
    assert len(cleaned) <= limit
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\x9b]", cleaned)


def test_uids_are_version_7_and_in_the_order_of_time() -> None:
    uids = [new_uid() for _number in range(50)]
    assert {uid.version for uid in uids} == {7}
    assert {uid.variant for uid in uids} == {uuid.RFC_4122}
    assert [uid.int >> 80 for uid in uids] == sorted(uid.int >> 80 for uid in uids)
