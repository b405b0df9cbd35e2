"""What a plan says of an endpoint's part of the cluster's cost."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from clusters.instances import hourly_cost
from endpoints.targets.base import Resources
from endpoints.targets.hyperpod.checks import types_of
from endpoints.targets.hyperpod.cost import cost_checks

from .making import PLACE, SCALED, revision, spec

TYPE = "ml.g5.12xlarge"  # 4 GPUs
ONE_GPU = Resources(cpu_millis=1000, memory_bytes=2**30, gpus=1)


def checks(
    options: dict[str, Any] | None = None, place: Any = PLACE, resources: Resources = ONE_GPU, **values: Any,
) -> list[Any]:
    wish = spec(revision({"instanceType": TYPE, **(options or {})}, resources=resources), **values)
    return list(cost_checks(wish, place, types_of(wish)))


def test_the_part_of_the_machines_by_gpus_is_priced() -> None:
    whole = hourly_cost(TYPE, PLACE.region, 1)
    assert whole is not None
    [check] = checks(replicas=2)
    assert (check.name, check.ok) == ("cost", True)
    assert f"0.5 × {TYPE}" in check.sentence
    assert f"about {whole.per_hour / 2:.3f} USD an hour" in check.sentence


def test_an_autoscaler_adds_what_it_costs_at_most() -> None:
    [check] = checks(replicas=1, autoscale=SCALED)
    assert "1.5 ×" in check.lines[0]


def test_prefill_and_decode_count_by_their_own_gpus() -> None:
    role = {"replicas": 2, "resources": {"limits": {"nvidia.com/gpu": 4}}}
    [check] = checks({"pdSpec": {"prefillSpec": role, "decodingSpec": role}})
    assert f" 4 × {TYPE}" in check.sentence


def test_spot_machines_cost_the_spot_price_where_the_book_has_one(settings: Settings, tmp_path: Path) -> None:
    place = replace(PLACE, groups=({"InstanceGroupName": "g", "InstanceType": TYPE, "CapacityRequirements": {"Spot": {}}},))
    book = tmp_path / "prices.yaml"
    settings.PORTAL_PRICE_BOOK = str(book)
    prices = {"on_demand": 8.0, "spot": 2.0}
    head = {"currency": "USD", "as_of": "2026-11-01", "source": "test"}
    for known, wanted in (("spot", "2.000 USD"), ("on_demand", "8.000 USD")):
        book.write_text(json.dumps({**head, "regions": {PLACE.region: {TYPE: {
            name: price for name, price in prices.items() if name in (known, "on_demand")}}}}))
        os.utime(book, ns=(len(known), len(known)))  # another file for whoever keeps the last
        [check] = checks(place=place, replicas=4)
        assert wanted in check.sentence


@pytest.mark.parametrize("values", [
    {"resources": replace(ONE_GPU, gpus=0)}, {"place": replace(PLACE, region="")},
    {"options": {"instanceType": "ml.x9.large"}}])
def test_what_has_no_part_that_can_be_counted_says_nothing(values: dict[str, Any]) -> None:
    assert checks(**values) == []


def test_a_region_without_prices_says_where_to_add_them() -> None:
    [check] = checks(place=replace(PLACE, region="xx-nowhere-1"))
    assert (check.ok, "price book" in check.sentence) == (None, True)
