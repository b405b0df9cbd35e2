"""When an alert is due, and that it is told once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from endpoints import services
from endpoints.alerts import PAUSES, TRIES, month_of, pause_after, reached
from endpoints.models import Delivery, Endpoint, UsageHour
from endpoints.services import alert_watch
from endpoints.services.alert_channels import change_channel, create_channel
from portal.tenancy.models import ApiKey
from tests.cast import Cast, make_cluster, make_host, make_profile, set_limit
from tests.endpoints.alerts.making import NOW, at_once, make_hook, told, use
from tests.rig.receiver import Receiver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.mark.parametrize(("used", "most", "threshold"), [
    (0, 100, 0), (49, 100, 0), (50, 100, 50), (79, 100, 50), (80, 100, 80), (99, 100, 80), (100, 100, 100), (250, 100, 100),
    (0, 0, 0), (5, 0, 0), (1, 2, 50), (1, 1, 100), (2, 3, 50), (3, 4, 50), (4, 5, 80), (10**18, 2 * 10**18, 50),
    (799_999_999, 10**9, 50), (800_000_000, 10**9, 80),
])
def test_the_highest_threshold_that_is_reached(used: int, most: int, threshold: int) -> None:
    assert reached(used, most) == threshold


@pytest.mark.parametrize(("used", "most", "threshold"), [(94, 100, 80), (95, 100, 100), (949_999, 10**6, 80), (0, 0, 0)])
def test_a_limit_that_is_nearly_used_and_refuses_calls_is_used_up(used: int, most: int, threshold: int) -> None:
    assert reached(used, most, refuses=True) == threshold


def test_calls_that_were_refused_lately_count_for_their_own_subject(cast: Cast, hooks: Receiver) -> None:
    make_hook(cast, hooks)
    set_limit(cast.alpha, tokens_per_month=1000)
    set_limit(cast.alpha, "model", of={"model_name": "other"}, tokens_per_month=1000, gpus=1)
    use(cast, 970)
    use(cast, 960, model_name="other", workspace_id=cast.beta.pk)
    use(cast, 10, hour=NOW - timedelta(hours=3), refused=4)
    assert alert_watch.watch(NOW) == 1
    use(cast, 1, hour=NOW - timedelta(hours=1), refused=1)
    assert alert_watch.watch(NOW) == 1
    assert told() == [("tokens_per_month", 80), ("tokens_per_month", 100)]


def test_the_window_is_the_month_of_utc() -> None:
    assert month_of(datetime(2026, 11, 30, 23, 59, tzinfo=UTC)) == datetime(2026, 11, 1, tzinfo=UTC)
    tokyo = datetime(2026, 12, 1, 5, 0, tzinfo=UTC).astimezone()
    assert month_of(tokyo) == datetime(2026, 12, 1, tzinfo=UTC)


def test_six_tries_fill_a_day() -> None:
    pauses = [pause_after(tries) for tries in range(1, TRIES)]
    assert pauses == sorted(pauses)
    assert (len(PAUSES), sum(pauses, timedelta())) == (TRIES - 1, timedelta(days=1))


def test_each_limit_counts_what_is_its_own(cast: Cast) -> None:
    """Workspace, member, key and model: tokens in and out and money of this month, nobody else's and no older ones."""
    key = ApiKey(workspace=cast.alpha, created_by=cast.bob, name="ci")
    key.draw_secret()
    key.save()
    use(cast, 300, money="1.5")
    use(cast, 100, money="0.25", key_id=key.pk)
    use(cast, 40, member_id=cast.alice.pk, model_name="other", hour=NOW - timedelta(hours=1))
    use(cast, 1000, hour=datetime(2026, 10, 31, 23, tzinfo=UTC), money="9")
    use(cast, 7000, workspace_id=cast.beta.pk, member_id=cast.bob.pk, key_id=9)
    monthly = {"tokens_per_month": 1000, "money_per_month": Decimal("2.00")}
    set_limit(cast.alpha, **monthly)
    set_limit(cast.alpha, "member", of={"member": cast.bob}, **monthly)
    set_limit(cast.alpha, "key", of={"key": key}, **monthly)
    set_limit(cast.alpha, "model", of={"model_name": "other"}, **monthly)
    set_limit(cast.beta, tokens_per_month=1)
    found = {(level.limit.kind, level.quantity): (level.used, level.most)
             for level in alert_watch.levels([cast.alpha.pk], NOW)}
    assert found == {
        ("workspace", "tokens_per_month"): (440, 1000), ("workspace", "money_per_month"): (1_750_000, 2_000_000),
        ("member", "tokens_per_month"): (400, 1000), ("member", "money_per_month"): (1_750_000, 2_000_000),
        ("key", "tokens_per_month"): (100, 1000), ("key", "money_per_month"): (250_000, 2_000_000),
        ("model", "tokens_per_month"): (40, 1000), ("model", "money_per_month"): (0, 2_000_000)}


def test_places_count_as_the_quota_does(cast: Cast) -> None:
    cluster = make_cluster()
    make_host(cluster, gpus=8)
    profile = make_profile("big", gpus=2)
    for name, who, count in (("a", "alice", 2), ("b", "bob", 1), ("gone", "bob", 1)):
        services.create(cast.actor(who), cast.alpha, name=name, cluster=cluster, profile=profile, replicas=count)
    services.delete(cast.actor("bob"), Endpoint.objects.get(name="gone"))
    services.stop(cast.actor("bob"), Endpoint.objects.get(name="b"))
    set_limit(cast.alpha, gpus=8, replicas=4, endpoints=2)
    set_limit(cast.alpha, "member", of={"member": cast.bob}, gpus=8, endpoints=2)
    set_limit(cast.alpha, "model", of={"model_name": "a"}, gpus=5)
    found = {(level.limit.kind, level.quantity): (level.used, level.most)
             for level in alert_watch.levels([cast.alpha.pk], NOW)}
    assert found == {
        ("workspace", "gpus"): (4, 8), ("workspace", "replicas"): (2, 4), ("workspace", "endpoints"): (2, 2),
        ("member", "gpus"): (0, 8), ("member", "endpoints"): (1, 2), ("model", "gpus"): (4, 5)}


def test_each_threshold_is_told_once_a_month(cast: Cast, hooks: Receiver) -> None:
    make_hook(cast, hooks)
    set_limit(cast.alpha, tokens_per_month=1000)
    for tokens, noted in ((490, 0), (10, 1), (200, 0), (100, 1), (100, 0), (100, 1), (900, 0)):
        use(cast, tokens, endpoint_id=UsageHour.objects.count())
        assert [alert_watch.watch(NOW), alert_watch.watch(NOW + timedelta(minutes=1))] == [noted, 0]
    assert told() == [("tokens_per_month", 50), ("tokens_per_month", 80), ("tokens_per_month", 100)]
    december = NOW + timedelta(days=20)
    assert alert_watch.watch(december) == 0
    use(cast, 500, hour=december)
    assert alert_watch.watch(december) == 1


def test_a_jump_is_told_once_by_the_highest_threshold(cast: Cast, hooks: Receiver) -> None:
    make_hook(cast, hooks)
    set_limit(cast.alpha, tokens_per_month=1000)
    use(cast, 2000)
    assert [alert_watch.watch(NOW), alert_watch.watch(NOW)] == [1, 0]
    assert told() == [("tokens_per_month", 100)]


def test_a_changed_limit_is_counted_anew(cast: Cast, hooks: Receiver) -> None:
    make_hook(cast, hooks)
    set_limit(cast.alpha, tokens_per_month=1000)
    use(cast, 1000)
    alert_watch.watch(NOW)
    set_limit(cast.alpha, tokens_per_month=2000)
    assert [alert_watch.watch(NOW), alert_watch.watch(NOW)] == [1, 0]
    set_limit(cast.alpha, tokens_per_month=1000)
    assert alert_watch.watch(NOW) == 0
    assert [threshold for _quantity, threshold in told()] == [100, 50]


def test_only_channels_in_use_of_the_limits_workspace_are_told(cast: Cast, hooks: Receiver) -> None:
    own, _secret = make_hook(cast, hooks)
    unused, _secret = make_hook(cast, hooks, "unused")
    change_channel(cast.actor("alice"), unused, is_enabled=False)
    create_channel(cast.actor("charlie"), cast.beta, name="hook", kind="webhook", url=f"http://127.0.0.1:{hooks.port}/beta")
    set_limit(cast.alpha, tokens_per_month=10)
    use(cast, 10)
    alert_watch.watch(NOW)
    assert list(Delivery.objects.values_list("channel", flat=True)) == [own.pk]


def test_workers_that_look_at_once_tell_it_once(cast: Cast, hooks: Receiver) -> None:
    make_hook(cast, hooks)
    set_limit(cast.alpha, tokens_per_month=10)
    use(cast, 8)
    assert sum(at_once(6, lambda: alert_watch.watch(NOW))) == 1
    assert len(told()) == 1


def test_the_queries_of_a_look_do_not_grow_with_limits_channels_and_endpoints(cast: Cast, hooks: Receiver) -> None:
    cluster = make_cluster()
    make_host(cluster)
    profile = make_profile()
    set_limit(cast.alpha, tokens_per_month=1000, gpus=100)

    def queries_with(numbers: range) -> int:
        for number in numbers:
            make_hook(cast, hooks, f"hook {number}")
            services.create(cast.actor("alice"), cast.alpha, name=f"e{number}", cluster=cluster, profile=profile)
            set_limit(cast.alpha, "model", of={"model_name": f"e{number}"}, tokens_per_month=10, gpus=4)
            use(cast, 1, model_name=f"e{number}", endpoint_id=number)
        with CaptureQueriesContext(connection) as seen:
            alert_watch.watch(NOW)
        return len(seen)

    queries_with(range(1))
    assert queries_with(range(1, 3)) == queries_with(range(3, 15)) < 20
