"""Members and their roles: nobody rises above themselves, somebody always owns the workspace."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
from django.db import connections

from portal.tenancy import services
from portal.tenancy.actor import PORTAL, Actor
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, NotFound, PortalError
from portal.tenancy.models import ApiKey, AuditEntry, Membership, Workspace
from portal.tenancy.roles import RANK, ROLE_MAY, Role, Scope, Verb
from tests.cast import Cast, make_cast, make_user

pytestmark = pytest.mark.django_db
ROLES = list(RANK)


def join(workspace: Workspace, name: str, role: str) -> Membership:
    return Membership.objects.create(workspace=workspace, user=make_user(name), role=role)


@pytest.mark.parametrize(("mine", "was", "to"), list(product(ROLES, [None, *ROLES], ROLES)))
def test_nobody_grants_or_takes_a_role_above_their_own(cast: Cast, mine: str, was: str | None, to: str) -> None:
    """The whole lattice: who acts, what the other one was, what they shall be."""
    me = join(cast.alpha, "me", mine)
    other = join(cast.alpha, "other", was).user if was else make_user("other")
    allowed = Verb.MANAGE in ROLE_MAY[mine] and RANK[Role(mine)] >= max(RANK[Role(to)], RANK[Role(was)] if was else 0)
    if allowed:
        assert services.set_member(Actor(me.user), cast.alpha, other, to).role == to
        return
    with pytest.raises(NotAllowed):
        services.set_member(Actor(me.user), cast.alpha, other, to)
    assert Membership.objects.filter(workspace=cast.alpha, user=other).values_list("role", flat=True).first() == was


@pytest.mark.parametrize("role", ["OWNER", "owner ", "Owner", "", "root", "ówner"])
def test_an_unknown_role_is_refused(cast: Cast, role: str) -> None:
    with pytest.raises(Invalid) as refused:
        services.set_member(cast.actor("alice"), cast.alpha, cast.vera, role)
    assert refused.value.field == "role"


def test_an_owner_of_another_workspace_is_a_stranger_here(cast: Cast) -> None:
    with pytest.raises(NotFound):
        services.set_member(cast.actor("charlie"), cast.alpha, cast.charlie, Role.VIEWER)
    with pytest.raises(NotFound):
        services.remove_member(cast.actor("charlie"), Membership.objects.get(user=cast.vera))


def test_the_last_owner_stays(cast: Cast) -> None:
    alice = Membership.objects.get(user=cast.alice)
    for leave in (lambda: services.remove_member(cast.actor("alice"), alice),
                  lambda: services.set_member(cast.actor("alice"), cast.alpha, cast.alice, Role.ADMIN)):
        with pytest.raises(Conflict) as refused:
            leave()
        assert refused.value.code == "last_owner"
    services.set_member(cast.actor("alice"), cast.alpha, cast.bob, Role.OWNER)
    services.remove_member(cast.actor("alice"), alice)
    assert not Membership.objects.filter(user=cast.alice).exists()


def test_a_disabled_owner_does_not_count_as_an_owner(cast: Cast) -> None:
    join(cast.alpha, "sleeper", Role.OWNER)
    sleeper = Membership.objects.get(user__username="sleeper").user
    sleeper.is_active = False
    sleeper.save()
    with pytest.raises(Conflict):
        services.remove_member(cast.actor("alice"), Membership.objects.get(user=cast.alice))


def test_removing_a_member_ends_their_keys(cast: Cast) -> None:
    key, _text = services.create_key(cast.actor("bob"), cast.alpha, name="ci")
    services.remove_member(cast.actor("alice"), Membership.objects.get(user=cast.bob))
    assert ApiKey.objects.get(pk=key.pk).state == "revoked"
    assert AuditEntry.objects.get(verb="remove member").before["active_keys"] == 1


def test_a_disabled_person_may_do_nothing_and_joins_nothing(cast: Cast) -> None:
    cast.bob.is_active = False
    cast.bob.save()
    assert Actor(cast.bob).verbs(cast.alpha) == frozenset()
    with pytest.raises(NotFound):
        services.create_key(Actor(cast.bob), cast.alpha, name="x")
    with pytest.raises(Invalid):
        services.set_member(cast.actor("charlie"), cast.beta, cast.bob, Role.VIEWER)


def test_only_operators_make_workspaces_and_change_limits(cast: Cast) -> None:
    with pytest.raises(NotAllowed):
        services.create_workspace(cast.actor("alice"), name="Mine", slug="mine")
    with pytest.raises(NotAllowed):
        services.change_workspace(cast.actor("alice"), cast.alpha, max_endpoints=100)
    changed = services.change_workspace(cast.actor("operator"), cast.alpha, max_endpoints=3)
    assert changed.max_endpoints == 3
    renamed = services.change_workspace(cast.actor("alice"), cast.alpha, name="New", max_endpoints=3)
    assert (renamed.name, renamed.max_endpoints) == ("New", 3)


@pytest.mark.parametrize("field", ["slug", "claims_version", "uid", "id", "created_at"])
def test_what_a_workspace_is_known_by_never_changes(cast: Cast, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        services.change_workspace(cast.actor("operator"), cast.alpha, **{field: "other"})
    assert refused.value.field == field


@pytest.mark.parametrize("scopes", [[], ["root"], ["inference", "Deploy"]])
def test_a_key_has_known_scopes(cast: Cast, scopes: list[str]) -> None:
    with pytest.raises(Invalid):
        services.create_key(cast.actor("alice"), cast.alpha, name="x", scopes=scopes)


def test_the_portal_itself_has_no_keys(cast: Cast) -> None:
    with pytest.raises(NotAllowed):
        services.create_key(PORTAL, cast.alpha, name="x")


def test_only_its_maker_and_managers_revoke_a_key(cast: Cast) -> None:
    key, _text = services.create_key(cast.actor("bob"), cast.alpha, name="ci")
    with pytest.raises(NotAllowed):
        services.revoke_key(cast.actor("vera"), key)
    with pytest.raises(NotFound):
        services.revoke_key(cast.actor("charlie"), key)
    services.revoke_key(cast.actor("bob"), key)
    services.revoke_key(cast.actor("alice"), key)
    assert AuditEntry.objects.filter(verb="revoke key").count() == 1


def test_a_key_with_a_scope_may_do_no_more_than_both_allow(cast: Cast) -> None:
    key, _text = services.create_key(cast.actor("alice"), cast.alpha, name="all", scopes=list(Scope.values))
    Membership.objects.filter(user=cast.alice).update(role=Role.VIEWER)
    assert Actor(cast.alice, key).verbs(cast.alpha) == {Verb.VIEW}
    assert Actor(cast.alice, key).verbs(cast.beta) == frozenset()


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_leave_at_once_one_stays() -> None:
    cast = make_cast()
    for _round in range(5):
        Membership.objects.filter(workspace=cast.alpha).delete()
        Workspace.objects.filter(pk=cast.alpha.pk).update(claims_version=0)
        for user in (cast.alice, cast.bob):
            Membership.objects.create(workspace=cast.alpha, user=user, role=Role.OWNER)
        with ThreadPoolExecutor(2) as pool:
            ends = sorted(pool.map(leave, [cast.actor("alice"), cast.actor("bob")]))
        assert ends == ["last_owner", "left"]
        assert Membership.objects.filter(workspace=cast.alpha, role=Role.OWNER).count() == 1


def leave(actor: Actor) -> str:
    try:
        services.remove_member(actor, Membership.objects.get(user=actor.user))
    except PortalError as error:
        return error.code
    finally:
        connections.close_all()
    return "left"
