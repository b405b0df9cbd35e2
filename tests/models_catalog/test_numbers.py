"""Numbers as people read them."""

from __future__ import annotations

import pytest
from django.utils.translation import override

from clusters.units import GIB
from models_catalog.numbers import count, memory, tokens


@pytest.mark.parametrize(("value", "text"), [
    (None, "–"), (7, "7"), (999, "999"), (1000, "1 K"), (22_713_216, "22.7 M"), (567_754_752, "568 M"),
    (7_615_616_512, "7.6 B"), (8_030_261_248, "8 B"), (671_026_419_200, "671 B"), (2_446_200_000_000, "2.4 T"),
])
def test_parameters(value: int | None, text: str) -> None:
    assert count(value) == text


@pytest.mark.parametrize(("value", "text"), [
    (None, "–"), (0, "0 MiB"), (90_868_376, "87 MiB"), (GIB // 2, "0.5 GiB"), (15_231_233_024, "14.2 GiB"),
])
def test_memory(value: int | None, text: str) -> None:
    assert memory(value) == text


@pytest.mark.parametrize(("value", "text"), [
    (None, "–"), (512, "512"), (4096, "4 K"), (40960, "40 K"), (131_072, "128 K"), (1_048_576, "1 M"), (10_485_760, "10 M"),
])
def test_tokens(value: int | None, text: str) -> None:
    assert tokens(value) == text


def test_numbers_follow_the_readers_language() -> None:
    with override("de"):
        assert memory(15_231_233_024) == "14,2 GiB"
