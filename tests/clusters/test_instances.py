"""Instance types, the price book, and which types hold a wish."""

from __future__ import annotations

import os
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from django.core.management import CommandError, call_command

from clusters.instances import all_types, fitting, hourly_cost, instance_type, no_price, price_book, read_book
from clusters.instances.prices import SHIPPED, Price
from portal.tenancy.errors import Invalid

GIB = 2**30
BOOK = """
currency: EUR
as_of: "2026-11-01"
source: our contract
regions:
  eu-west-1:
    ml.g5.xlarge: {on_demand: 1.5, spot: 0.5}
    ml.g6.xlarge: {on_demand: 1.2}
    ml.c6i.large: {on_demand: 0.1}
    ml.c6i.xlarge: {on_demand: 0.05}
"""


@pytest.fixture
def book(tmp_path: Path, settings: Any) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(BOOK)
    settings.PORTAL_PRICE_BOOK = str(path)
    return path


def write_later(path: Path, text: str) -> None:
    """As an editor does, at a time that differs whatever the file system's clock."""
    before = path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=(before + 1_000_000, before + 1_000_000))


def test_types_are_those_that_aws_names() -> None:
    """The enumerations of botocore say what HyperPod and SageMaker endpoints take."""
    model = botocore.session.get_session().get_service_model("sagemaker")
    hyperpod = set(model.shape_for("ClusterInstanceType").enum)
    hosting = set(model.shape_for("ProductionVariantInstanceType").enum)
    for kind in all_types():
        assert kind.hyperpod == (kind.name in hyperpod), kind.name
        assert kind.hosting == (kind.name in hosting), kind.name
    families = ("g4", "g5", "g6", "gr6", "p3", "p4", "p5")
    with_gpus = {name for name in hyperpod | hosting if name.split(".")[1].startswith(families)}
    assert with_gpus - {kind.name for kind in all_types()} == set()


@pytest.mark.parametrize(("name", "vcpus", "memory", "gpus", "accelerator"), [
    ("ml.g5.xlarge", 4, 16, 1, "A10G"), ("ml.g5.12xlarge", 48, 192, 4, "A10G"), ("ml.g6e.48xlarge", 192, 1536, 8, "L40S"),
    ("ml.g6.16xlarge", 64, 256, 1, "L4"), ("ml.p4d.24xlarge", 96, 1152, 8, "A100 40 GB"), ("ml.p5.4xlarge", 16, 256, 1, "H100"),
    ("ml.p5en.48xlarge", 192, 2048, 8, "H200"), ("ml.g7e.12xlarge", 48, 512, 2, "RTX PRO 6000"), ("ml.m5.xlarge", 4, 16, 0, ""),
    ("ml.r7i.48xlarge", 192, 1536, 0, ""), ("ml.inf2.xlarge", 4, 16, 0, "Inferentia2"), ("ml.g4dn.12xlarge", 48, 192, 4, "T4"),
])
def test_what_a_type_has(name: str, vcpus: int, memory: int, gpus: int, accelerator: str) -> None:
    kind = instance_type(name)
    assert kind is not None
    assert (kind.vcpus, kind.memory_bytes, kind.gpus, kind.accelerator) == (vcpus, memory * GIB, gpus, accelerator)
    assert bool(kind.gpu_memory_bytes) == bool(accelerator)
    assert kind.neuron == (1 if accelerator == "Inferentia2" else 0)


def test_hyperpod_leaves_no_pods_on_small_types() -> None:
    small = {kind.name for kind in all_types() if kind.too_small_for_hyperpod}
    assert small == {"ml.g5.xlarge", "ml.g5.2xlarge", "ml.g4dn.xlarge", "ml.g4dn.2xlarge"}
    assert not any(kind.serves_on_hyperpod for kind in all_types() if kind.name in small or not kind.hyperpod)


def test_only_gpus_that_can_be_cut_have_partitions() -> None:
    assert "mig-3g.71gb" in instance_type("ml.p5e.48xlarge").partitions  # type: ignore[union-attr]
    for kind in all_types():
        assert all(name.startswith("mig-") for name in kind.partitions)
        assert not kind.partitions or kind.gpus
    assert instance_type("ml.g5.xlarge").partitions == ()  # type: ignore[union-attr]
    assert instance_type("ml.nothing.xlarge") is None


def test_the_shipped_book_names_known_types_its_day_and_its_source() -> None:
    shipped = read_book(SHIPPED.read_text(encoding="utf-8"))
    assert {"us-east-1", "us-west-2"} <= set(shipped.regions)
    assert shipped.as_of
    assert "Price List" in shipped.source
    assert "Not verified on AWS" in shipped.source
    for types in shipped.regions.values():
        for name, price in types.items():
            assert instance_type(name) is not None
            assert price.on_demand


def test_the_cost_of_a_wish(book: Path) -> None:
    cost = hourly_cost("ml.g5.xlarge", "eu-west-1", 3)
    assert cost is not None
    assert (cost.per_hour, cost.per_month, cost.currency) == (Decimal("4.5"), Decimal("3285.0"), "EUR")
    assert cost.sentence == ("3 × ml.g5.xlarge in eu-west-1: about 4.500 EUR an hour, 3,285.00 EUR a month. "
                             "Prices of 2026-11-01, without storage and traffic.")
    spot = hourly_cost("ml.g5.xlarge", "eu-west-1", 2, spot=True)
    assert spot is not None
    assert (spot.per_hour, "spot price" in spot.sentence) == (Decimal("1.0"), True)
    assert hourly_cost("ml.g5.xlarge", "eu-west-1", 0).per_hour == 0  # type: ignore[union-attr]


@pytest.mark.parametrize(("kind", "region", "spot"), [
    ("ml.g6.xlarge", "eu-west-1", True), ("ml.p5.48xlarge", "eu-west-1", False), ("ml.g5.xlarge", "us-east-1", False),
    ("", "", False),
])
def test_an_unknown_price_is_said_and_never_guessed(book: Path, kind: str, region: str, spot: bool) -> None:
    assert hourly_cost(kind, region, 1, spot=spot) is None
    assert no_price(kind, region) == f"No price known for {kind} in {region}: add it to the price book."


def test_money_is_counted_exactly(book: Path) -> None:
    write_later(book, BOOK.replace("1.5,", "0.1,"))
    assert hourly_cost("ml.g5.xlarge", "eu-west-1", 3).per_hour == Decimal("0.3")  # type: ignore[union-attr]


def test_a_changed_book_is_read_again_and_a_slip_keeps_the_last_prices(book: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert hourly_cost("ml.g5.xlarge", "eu-west-1", 1).per_hour == Decimal("1.5")  # type: ignore[union-attr]
    write_later(book, BOOK.replace("1.5", "2.25"))
    assert hourly_cost("ml.g5.xlarge", "eu-west-1", 1).per_hour == Decimal("2.25")  # type: ignore[union-attr]
    write_later(book, BOOK.replace("1.5", "-1"))
    for _ in range(3):
        assert hourly_cost("ml.g5.xlarge", "eu-west-1", 1).per_hour == Decimal("2.25")  # type: ignore[union-attr]
    assert "on_demand" in price_book().problem
    assert len([one for one in caplog.records if "price book" in one.message]) == 1, "said once, not at each look"
    write_later(book, BOOK)
    assert hourly_cost("ml.g5.xlarge", "eu-west-1", 1).per_hour == Decimal("1.5")  # type: ignore[union-attr]
    assert price_book().problem == ""


def test_a_missing_book_has_no_prices_and_says_where_to_look(tmp_path: Path, settings: Any) -> None:
    settings.PORTAL_PRICE_BOOK = str(tmp_path / "none.yaml")
    assert hourly_cost("ml.g5.xlarge", "us-east-1", 1) is None
    assert "PORTAL_PRICE_BOOK" in price_book().problem
    (tmp_path / "none.yaml").write_text(BOOK)
    assert hourly_cost("ml.g5.xlarge", "eu-west-1", 1) is not None


def test_another_file_brings_none_of_the_old_prices(book: Path, tmp_path: Path, settings: Any) -> None:
    assert hourly_cost("ml.g5.xlarge", "eu-west-1", 1) is not None
    (tmp_path / "other.yaml").write_text("[]")
    settings.PORTAL_PRICE_BOOK = str(tmp_path / "other.yaml")
    assert hourly_cost("ml.g5.xlarge", "eu-west-1", 1) is None


WRONG = [
    ("", "object"), ("[]", "object"), ("currency: [", "line"), (BOOK.replace("EUR", "euro"), "currency"),
    (BOOK.replace("2026-11-01", "yesterday"), "as_of"), (BOOK.replace("source:", "sauce:"), "sauce"),
    (BOOK.replace("eu-west-1", "Europe"), "regions › Europe"),
    (BOOK.replace("ml.g6.xlarge", "g6.xlarge"), "eu-west-1 › g6.xlarge"),
    (BOOK.replace("on_demand: 1.2", "ondemand: 1.2"), "ml.g6.xlarge › ondemand"),
    (BOOK.replace("1.2", "-1.2"), "ml.g6.xlarge › on_demand"), (BOOK.replace("1.2", "0"), "on_demand"),
    (BOOK.replace("1.2", '"1.2"'), "on_demand"), (BOOK.replace("1.2", "true"), "on_demand"),
    (BOOK.replace("1.2", "1e9"), "on_demand"),
    (BOOK.replace("1.2", ".nan"), "on_demand"), (BOOK.replace("{on_demand: 1.2}", "1.2"), "ml.g6.xlarge"),
    (BOOK.replace("regions:\n  eu-west-1:", "regions: []\nx:"), "x"), (BOOK + BOOK, "twice"),
    ("currency: &a USD\nas_of: *a", "aliases"),
    (BOOK.replace("our contract", "!!python/object:os.system x"), "tags"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_a_wrong_book_is_refused_with_the_place(text: str, words: str) -> None:
    with pytest.raises(Invalid, match=words) as caught:
        read_book(text)
    assert len(caught.value.message) < 500


def test_json_is_a_book_too() -> None:
    found = read_book('{"currency": "USD", "as_of": "2026-01-02", "regions": {"us-east-1": {"ml.g5.xlarge": {"spot": 1}}}}')
    assert found.price("ml.g5.xlarge", "us-east-1") == Price(spot=Decimal(1))


def test_types_that_hold_a_wish_come_cheapest_first(book: Path) -> None:
    names = [kind.name for kind in fitting(1, 20 * GIB, region="eu-west-1")]
    assert names[:2] == ["ml.g6.xlarge", "ml.g5.xlarge"], "the two with a price, the cheaper one first"
    assert "ml.g4dn.xlarge" not in names, "16 GiB are not enough"
    assert names.index("ml.g5.2xlarge") < names.index("ml.p5.48xlarge"), "small ones first where no price is known"
    assert [kind.name for kind in fitting(0, region="eu-west-1")][:2] == ["ml.c6i.xlarge", "ml.c6i.large"]
    assert all(not kind.accelerator for kind in fitting(0, region="eu-west-1"))
    assert {kind.gpus for kind in fitting(8, 70 * GIB, region="eu-west-1")} == {8}
    assert fitting(9, region="eu-west-1") == []
    assert all(kind.vcpus >= 64 and kind.memory_bytes >= 500 * GIB
               for kind in fitting(0, region="eu-west-1", vcpus=64, memory_bytes=500 * GIB))


def test_each_place_gets_its_own_types(book: Path) -> None:
    on_hyperpod = {kind.name for kind in fitting(1, region="eu-west-1", hyperpod=True)}
    on_endpoints = {kind.name for kind in fitting(1, region="eu-west-1")}
    assert "ml.g5.xlarge" in on_endpoints - on_hyperpod, "HyperPod has no pods left there"
    assert "ml.gr6.4xlarge" in on_hyperpod - on_endpoints


def test_the_command_checks_a_book_and_prints_ours(book: Path) -> None:
    out = StringIO()
    call_command("price_book", check=book, stdout=out)
    assert out.getvalue().strip() == "4 prices of 1 regions, EUR of 2026-11-01"
    out = StringIO()
    call_command("price_book", stdout=out)
    assert out.getvalue() == SHIPPED.read_text(encoding="utf-8")
    book.write_text(BOOK.replace("1.2", "-1").replace("ml.c6i.large", "ml.zz.large"))
    with pytest.raises(CommandError, match="on_demand"):
        call_command("price_book", check=book)
    book.write_text(BOOK.replace("ml.c6i.large", "ml.zz.large"))
    out = StringIO()
    call_command("price_book", check=book, stdout=out)
    assert "does not know: ml.zz.large" in out.getvalue()
    with pytest.raises(CommandError, match="can't read"):
        call_command("price_book", check=book.parent / "none")
