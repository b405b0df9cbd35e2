"""What limits of the month count: the hours, and the sums of the days that have them, once each."""

from __future__ import annotations

from datetime import timedelta

import pytest

from endpoints.models import SummedDay, UsageHour
from endpoints.services.month_use import Use, used_this_month
from portal.tenancy import services as tenancy
from portal.tenancy.models import Limit, LimitKind
from portal.tenancy.page_keys import PLAYGROUND
from tests.cast import Cast
from tests.endpoints.test_day_sums import NOW, sum_up, use

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def limits(cast: Cast) -> dict[str, Limit]:
    """One of each kind, of a neighbour's too."""
    key, _text = tenancy.create_key(cast.actor("alice"), cast.alpha, name=PLAYGROUND)
    make = Limit.objects.create
    return {
        "all": make(workspace=cast.alpha, kind=LimitKind.WORKSPACE, tokens_per_month=1),
        "beta": make(workspace=cast.beta, kind=LimitKind.WORKSPACE, tokens_per_month=1),
        "key": make(workspace=cast.alpha, kind=LimitKind.KEY, key=key, tokens_per_month=1),
        "bob": make(workspace=cast.alpha, kind=LimitKind.MEMBER, member=cast.bob, tokens_per_month=1),
        "model": make(workspace=cast.alpha, kind=LimitKind.MODEL, model_name="acme/chat", tokens_per_month=1),
        "unused": make(workspace=cast.alpha, kind=LimitKind.MODEL, model_name="acme/none", tokens_per_month=1)}


@pytest.mark.parametrize("is_summed", [False, True])
def test_each_hour_of_the_month_counts_once(cast: Cast, limits: dict[str, Limit], is_summed: bool) -> None:
    key, bob = limits["key"].key_id, cast.bob.pk
    for days in range(31):  # to the first of the month
        use(cast, days * 24, key_id=key, key_name=PLAYGROUND, model_name="other")
        use(cast, days * 24, member_id=bob)
        use(cast, days * 24 + 11, workspace_id=cast.beta.pk)
    use(cast, 31 * 24, key_id=key, member_id=bob)  # the month before
    use(cast, 48, key_id=key + 1, key_name=PLAYGROUND, model_name="other")  # of the playground, and not that person's own
    if is_summed:
        assert sum_up() == 31
        UsageHour.objects.filter(hour__lt=NOW - timedelta(days=2)).delete()  # they are read no more
    found = used_this_month(limits.values(), NOW)
    assert {name: found[limit.pk] for name, limit in limits.items()} == {
        "all": Use(63 * 1100, 63 * 5, 4), "beta": Use(31 * 1100, 31 * 5, 0), "key": Use(31 * 1100, 31 * 5, 2),
        "bob": Use(31 * 1100, 31 * 5, 2), "model": Use(31 * 1100, 31 * 5, 2), "unused": Use()}


def test_a_late_booking_counts_at_once(cast: Cast, limits: dict[str, Limit]) -> None:
    use(cast, 48)
    sum_up()
    SummedDay.reopen([use(cast, 50).hour])
    assert used_this_month([limits["model"]], NOW)[limits["model"].pk].tokens == 2200
