"""Instance types on their page and in the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from clusters.instances import all_types
from portal.tenancy.models import User
from tests.cast import Cast
from tests.portal.apiclient import Api, by_key
from tests.portal.conftest import signed_in

BOOK = """
currency: EUR
as_of: "2026-11-01"
regions:
  eu-west-1:
    ml.g5.xlarge: {on_demand: 1.5, spot: 0.5}
    ml.g6.xlarge: {on_demand: 1.25}
"""


@pytest.fixture(autouse=True)
def book(tmp_path: Path, settings: Any) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(BOOK)
    settings.PORTAL_PRICE_BOOK = str(path)
    return path


def page(client: Client, **query: str) -> str:
    answer = client.get(reverse("admin:clusters_instance_types"), query)
    assert answer.status_code == 200
    return answer.content.decode()


def answered(api: Api, query: str) -> Any:
    answer = api.get(f"instance-types?{query}")
    assert answer.status_code == 200
    return json.loads(answer.content)


def test_the_page_shows_every_type_with_its_prices(operator: Client) -> None:
    found = page(operator)
    assert all(kind.name in found for kind in all_types())
    assert "1.500 (spot 0.500)" in found
    assert "4 × A10G, 22.4 GiB each" in found
    assert found.count("too few pods") == 4
    assert "Prices in EUR" in found
    assert f'href="{reverse("admin:clusters_instance_types")}"' in page(operator), "the menu leads there"


@pytest.mark.parametrize(("words", "there", "gone"), [
    ("g6e", "ml.g6e.48xlarge", "ml.g5.xlarge"), ("l40s 12x", "ml.g6e.12xlarge", "ml.g6e.48xlarge"),
    ("A10G", "ml.g5.xlarge", "ml.g6.xlarge"), ("<script>", "No type has these words", "ml.g5.xlarge"),
])
def test_the_page_can_be_searched(operator: Client, words: str, there: str, gone: str) -> None:
    found = page(operator, q=words)
    assert there in found
    assert gone not in found
    assert f'value="{words}"' not in found or "<" not in words, "what was typed is text"


def test_a_slip_in_the_book_is_said_on_the_page(operator: Client, book: Path) -> None:
    book.write_text(BOOK.replace("1.25", "-5.0"))
    assert "ml.g6.xlarge › on_demand" in page(operator)


def test_only_people_who_may_see_places_see_it(cast: Cast, staff: Callable[..., User]) -> None:
    assert Client().get(reverse("admin:clusters_instance_types")).status_code == 302
    assert signed_in(staff("dora", cast.beta, "view_endpoint")).get(reverse("admin:clusters_instance_types")).status_code == 403
    assert signed_in(staff("emil", cast.beta, "view_cluster")).get(reverse("admin:clusters_instance_types")).status_code == 200


def test_the_api_lists_types_with_prices_of_a_region(cast: Cast) -> None:
    api = by_key(cast.vera, cast.alpha)
    found = answered(api, "region=eu-west-1")
    assert (found["currency"], found["as_of"], found["problem"]) == ("EUR", "2026-11-01", "")
    by_name = {one["name"]: one for one in found["items"]}
    assert len(by_name) == len(all_types())
    assert (by_name["ml.g5.xlarge"]["on_demand"], by_name["ml.g5.xlarge"]["spot"]) == (1.5, 0.5)
    assert (by_name["ml.g5.xlarge"]["hyperpod"], by_name["ml.g5.xlarge"]["sagemaker"]) == (False, True)
    assert by_name["ml.p5.48xlarge"]["on_demand"] is None
    assert "mig-7g.80gb" in by_name["ml.p5.48xlarge"]["partitions"]


def test_the_api_finds_types_that_hold_a_wish(cast: Cast) -> None:
    api = by_key(cast.vera, cast.alpha)
    found = answered(api, "region=eu-west-1&gpus=1&gpu_memory_gib=20")["items"]
    assert [one["name"] for one in found[:2]] == ["ml.g6.xlarge", "ml.g5.xlarge"]
    found = answered(api, "region=eu-west-1&gpus=1&hyperpod=true")["items"]
    assert "ml.g5.xlarge" not in {one["name"] for one in found}
    for wrong in ("gpus=-1", "gpus=x", "region=../x", "nothing=1"):
        assert api.get(f"instance-types?{wrong}").status_code == 422
