"""The audit's chain: whatever is done to it behind the portal's back is found (T64)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from portal.tenancy import audit, sealing, services
from portal.tenancy.models import AuditEntry, AuditSeal
from portal.tenancy.sealing import BEGINNING, Break, check, head, seal
from tests.cast import Cast

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def entries(cast: Cast) -> list[int]:
    """Five sealed entries, with all that JSON can hold."""
    AuditEntry.objects.all().delete()
    actor = cast.actor("alice")
    for number in range(5):
        audit.record(actor, "change", cast.alpha, workspace=cast.alpha, before={"note": "模型 ✓", "share": 0.1, "on": None},
                     after={"note": f"ß{number}", "share": 1e-9, "on": True, "list": [1, {"b": 2, "a": 1}]})
    assert seal() == 5
    return list(AuditEntry.objects.order_by("pk").values_list("pk", flat=True))


def test_a_chain_that_nobody_touched_is_whole(entries: list[int]) -> None:
    report = check()
    assert (report.sealed, report.breaks, report.head, report.is_whole) == (5, [], head(), True)
    assert seal() == 0, "there is nothing new"


def test_an_empty_chain_is_whole(db: None) -> None:
    assert check().is_whole
    assert head() == BEGINNING


def test_each_seal_goes_on_where_the_last_one_ended(entries: list[int], cast: Cast) -> None:
    before = head()
    audit.record(cast.actor("bob"), "create", cast.alpha)
    assert seal() == 1
    assert AuditSeal.objects.get(digest=head()).previous == before
    assert check(before).is_whole, "an older head is in the chain"


def _change(field: str, value: object) -> Callable[[list[int]], None]:
    def change(entries: list[int]) -> None:
        AuditEntry.objects.filter(pk=entries[2]).update(**{field: value})
    return change


def _take_away(entries: list[int]) -> None:
    AuditEntry.objects.filter(pk=entries[2]).delete()


def _take_away_with_its_seal(entries: list[int]) -> None:
    _take_away(entries)
    AuditSeal.objects.filter(entry_id=entries[2]).delete()


def _write_between(entries: list[int]) -> None:
    late = AuditEntry.objects.create(actor_label="nobody", verb="create", kind="tenancy.user", object_uid="1", object_label="x")
    AuditEntry.objects.filter(pk=late.pk).update(at=timezone.now() - timedelta(days=1))


@pytest.mark.parametrize(("harm", "at", "what"), [
    (_change("verb", "create"), 2, "changed"),
    (_change("actor_label", "mallory"), 2, "changed"),
    (_change("object_uid", "0"), 2, "changed"),
    (_change("after", {"note": "ß2"}), 2, "changed"),
    (_change("at", timezone.now()), 2, "changed"),
    (_change("request_id", "another"), 2, "changed"),
    (_take_away, 2, "missing"),
    (_take_away_with_its_seal, 3, "out of place"),
    (_write_between, None, "unsealed"),
], ids=["verb", "who", "object", "values", "time", "request", "entry gone", "entry and seal gone", "written past the portal"])
def test_every_harm_is_found(entries: list[int], harm: Callable[[list[int]], None], at: int | None, what: str) -> None:
    harm(entries)
    expected = AuditEntry.objects.order_by("pk").values_list("pk", flat=True).last() if at is None else entries[at]
    assert check().breaks == [Break(expected or 0, what)]


def test_an_entry_that_is_moved_to_another_workspace_is_found(entries: list[int], cast: Cast) -> None:
    AuditEntry.objects.filter(pk=entries[1]).update(workspace=cast.beta)
    AuditEntry.objects.filter(pk=entries[3]).update(actor=cast.bob)
    assert check().breaks == [Break(entries[1], "changed"), Break(entries[3], "changed")]


def test_people_and_workspaces_may_go(entries: list[int]) -> None:
    AuditEntry.objects.all().update(actor=None, workspace=None)  # as the database does when they are deleted
    assert check().is_whole


def test_a_chain_that_was_cut_or_made_anew_lacks_the_head_that_the_log_told(entries: list[int]) -> None:
    told = head()
    AuditEntry.objects.filter(pk=entries[-1]).delete()
    AuditSeal.objects.filter(entry_id=entries[-1]).delete()
    assert check().is_whole, "the database alone can't show it"
    assert not check(told).is_whole
    AuditSeal.objects.all().delete()
    seal()
    assert not check(told).is_whole


def test_an_entry_that_commits_late_is_sealed_too(entries: list[int], cast: Cast) -> None:
    early = audit.record(cast.actor("alice"), "create", cast.alpha)
    AuditEntry.objects.filter(pk=early.pk).update(id=entries[0] - 1)
    assert AuditEntry.objects.order_by("pk").values_list("pk", flat=True).first() == entries[0] - 1
    assert seal() == 1
    assert check().is_whole


def test_only_one_link_follows_another(entries: list[int]) -> None:
    last = AuditSeal.objects.get(digest=head())
    with pytest.raises(IntegrityError), transaction.atomic():
        AuditSeal.objects.create(entry_id=10**9, previous=last.previous, digest="f" * 64)


def test_many_are_sealed_in_pieces(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "AT_ONCE", 3)
    for number in range(10):
        services.create_workspace(cast.actor("operator"), name=f"W{number}", slug=f"w{number}")
    assert seal() == AuditEntry.objects.count() >= 10
    assert check().is_whole


def test_the_command_says_what_is_broken(entries: list[int]) -> None:
    out = StringIO()
    call_command("audit", stdout=out)
    assert f"5 entries, all as they were sealed; head {head()}" in out.getvalue()
    _take_away(entries)
    with pytest.raises(CommandError, match="1 entries"):
        call_command("audit", stdout=out)
    assert f"entry {entries[2]}: missing" in out.getvalue()
    with pytest.raises(CommandError):
        call_command("audit", head="f" * 64, stdout=out)
    assert "it was cut, or made anew" in out.getvalue()
