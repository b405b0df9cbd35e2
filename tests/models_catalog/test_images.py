from __future__ import annotations

import pytest

from models_catalog.images import ACCOUNTS, image_for
from models_catalog.seed.files import read_releases
from models_catalog.services.shelf import IMAGE
from portal.tenancy.errors import Invalid

TEMPLATE = "{account}.dkr.ecr.{region}.{suffix}/djl-inference:0.33.0-lmi15.0.0-cu128"


@pytest.mark.parametrize(("region", "host"), [
    ("us-east-1", "763104351884.dkr.ecr.us-east-1.amazonaws.com"),
    ("eu-central-2", "380420809688.dkr.ecr.eu-central-2.amazonaws.com"),
    ("cn-north-1", "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn"),
    ("us-gov-west-1", "442386744353.dkr.ecr.us-gov-west-1.amazonaws.com"),
])
def test_an_image_comes_from_the_registry_of_its_region(region: str, host: str) -> None:
    assert image_for(TEMPLATE, region) == f"{host}/djl-inference:0.33.0-lmi15.0.0-cu128"


def test_an_image_without_placeholders_stays_as_it_is() -> None:
    assert image_for("vllm/vllm-openai:v0.32.0", "us-east-1") == "vllm/vllm-openai:v0.32.0"
    assert image_for("vllm/vllm-openai:v0.32.0", "") == "vllm/vllm-openai:v0.32.0"
    assert image_for("", "mars-1") == ""


@pytest.mark.parametrize("region", ["mars-1", "", "us-east-1 ", "US-EAST-1"])
def test_an_unknown_region_is_refused_with_what_to_do(region: str) -> None:
    with pytest.raises(Invalid, match="registry of your own") as caught:
        image_for(TEMPLATE, region)
    assert caught.value.field == "image"


def test_a_placeholder_that_nobody_fills_is_refused() -> None:
    with pytest.raises(Invalid, match="Only"):
        image_for("{account}.dkr.ecr.{region}.{suffix}/vllm:{tag}", "us-east-1")


def test_every_seeded_template_can_be_filled_in_every_region() -> None:
    templates = [row["image"] for row in read_releases() if "{" in row["image"]]
    assert len(templates) >= 4
    for template in templates:
        for region in ACCOUNTS:
            image = image_for(template, region)
            assert IMAGE.fullmatch(image)
            assert region in image
            assert len(image) <= 255, "SageMaker takes no longer one"
