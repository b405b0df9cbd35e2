"""The catalogue and a model's page: filters in the address, verdicts with reasons, sums, and who sees what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from endpoints.models import LoadTest, TokenPrice
from endpoints.planning.memory import MemorySum
from models_catalog.models import Artifact, CatalogModel, Profile
from portal.web.models.cells import amount
from portal.web.models.drawing import bar_of, lines_of, room_of
from portal.web.models.filters import Entry, Filters, chips_of, options_of
from tests.cast import GIB, Cast, make_cluster, make_host, make_model, make_profile
from tests.portal.world import make_endpoint

ClientOf = Callable[[str], Client]
QWEN = Entry(1, "Qwen3 8B", "qwen3 8b qwen3-8b alibaba 通义千问 chat", "alibaba", "Alibaba", "chat", "Apache-2.0",
             ("en", "zh", "multi"), 8_190_735_360)
BGE = Entry(2, "BGE-M3", "bge-m3 baai embeddings embedding", "baai", "BAAI", "embedding", "MIT", ("en", "ko"), 568_000_000)
SUM = MemorySum("L40S", 1, 45 * GIB, 5 * GIB, 41 * GIB, 15 * GIB, 2 * GIB, 147_456, 170_000, 32_768, 22 * GIB)


@pytest.mark.parametrize(("given", "names"), [
    ({}, ["Qwen3 8B", "BGE-M3"]), ({"q": "QWEN 8b"}, ["Qwen3 8B"]), ({"q": "千问"}, ["Qwen3 8B"]),
    ({"q": "embedding"}, ["BGE-M3"]), ({"task": "chat"}, ["Qwen3 8B"]), ({"size": "1b"}, ["BGE-M3"]),
    ({"size": "15b"}, ["Qwen3 8B"]), ({"licence": "MIT"}, ["BGE-M3"]),
    ({"vendor": "baai"}, ["BGE-M3"]), ({"language": "ko"}, ["BGE-M3"]), ({"language": "ko", "task": "chat"}, []),
    ({"size": "unheard"}, []), ({"unknown": "x"}, ["Qwen3 8B", "BGE-M3"])])
def test_filters_take_what_they_say(given: dict[str, str], names: list[str]) -> None:
    filters = Filters.of(given)
    assert [entry.name for entry in (QWEN, BGE) if filters.take(entry)] == names


@pytest.mark.parametrize(("given", "page"), [
    ("2", 2), ("0", 1), ("-1", 1), ("²", 1), ("x", 1), ("999999999", 1), ("99999", 10_000)])
def test_a_page_is_a_number_or_the_first(given: str, page: int) -> None:
    assert Filters.of({"page": given}).page == page


def test_every_filter_is_in_the_address_and_a_chip_takes_one_away() -> None:
    filters = Filters(q="a b", task="chat", fits=True, page=3)
    assert filters.query() == "?q=a+b&task=chat&fits=1"
    assert filters.query(page=4) == "?q=a+b&task=chat&fits=1&page=4"
    chips = chips_of(filters, options_of([QWEN, BGE]))
    assert [(chip.label, chip.query) for chip in chips] == [
        ("“a b”", "?task=chat&fits=1"), ("chat", "?q=a+b&fits=1"), ("Fits somewhere now", "?q=a+b&task=chat")]


def test_options_say_how_many_models_have_them() -> None:
    options = options_of([QWEN, BGE])
    assert [(one.value, one.count) for one in options["language"]] == [("en", 2), ("multi", 1), ("zh", 1), ("ko", 1)]
    assert {one.value: one.label for one in options["language"]}["ko"] == "한국어"


@pytest.mark.parametrize(("price", "words"), [
    ("0.200000", "0.20"), ("0.004000", "0.004"), ("12", "12.00"), ("1000", "1,000.00")])
def test_prices_have_no_zeros_that_say_nothing(price: str, words: str) -> None:
    assert amount(Decimal(price)) == words


def test_a_bar_is_drawn_to_scale() -> None:
    bar = bar_of(SUM)
    drawn = {part.look or "hatch": (part.at, part.width) for part in bar.parts}
    assert drawn == {"f-free": ("0%", "100.00%"), "hatch": ("88.89%", "11.11%"), "f-seen": ("0%", "33.33%"),
                     "f-5": ("33.33%", "4.44%"), "f-meant": ("37.78%", "53.33%")}
    assert bar.limit == "91.11%"


def test_what_is_missing_is_drawn_over_the_limit() -> None:
    bar = bar_of(replace(SUM, total=20 * GIB, usable=18 * GIB))
    over = next(part for part in bar.parts if part.look == "f-over")
    assert (over.at, over.width, bar.limit) == ("81.82%", "18.18%", "81.82%")


def test_the_sum_is_written_down_as_a_sum() -> None:
    lines = [(line.name, line.value) for line in lines_of(SUM)]
    assert lines[2:] == [("Usable", "41.0 GiB"), ("Weights", "− 15.0 GiB"), ("Engine", "− 2.0 GiB"),
                         ("Left for the KV cache", "24.0 GiB"), ("One token", "144 KiB"), ("Tokens at once", "170,000")]
    assert room_of(SUM) == "Room for 170,000 tokens: 5 calls of full length at a time"
    assert [line.name for line in lines_of(replace(SUM, usable=10 * GIB))][-1] == "Missing before the first token"


@pytest.fixture
def shelf(cast: Cast) -> CatalogModel:
    """A model that fits on the place's GPUs, one that fits nowhere, and one of Beta's own."""
    shape = {"heads": 32, "kv_heads": 8, "kv_bytes_per_token": 147_456}
    model = make_model("large", weights_bytes=16 * GIB, context_tokens=8192, shape=shape, languages=["en", "ko"],
                       licence="Apache-2.0", parameters=8_000_000_000)
    make_profile("large-gpu", model, gpus=1, gpu_memory_bytes=22 * GIB, arguments={"max-num-seqs": 8})
    huge = make_model("huge", weights_bytes=900 * GIB, context_tokens=8192, shape=shape)
    make_profile("huge-gpu", huge, gpus=4, gpu_memory_bytes=79 * GIB, name="Four")
    make_profile("theirs-cpu", make_model("theirs", workspace=cast.beta))
    make_host(make_cluster("gpu-east", seen_at=timezone.now()), gpus=2)
    make_host(make_cluster("beta-place", workspace=cast.beta), "beta-host")
    return model


def read(client: Client, path: str, **headers: str) -> str:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.django_db
class TestPages:
    def test_the_list_says_what_fits_and_why_not(self, client_of: ClientOf, shelf: CatalogModel) -> None:
        text = read(client_of("alice"), "/w/alpha/models/")
        assert "2 models to choose from" in text
        assert "gpu-east" in text
        assert "Fits" in text
        assert "GiB short" in text
        assert "Theirs" not in text
        assert "beta-place" not in text

    def test_a_filter_alone_brings_the_list_without_the_frame(self, client_of: ClientOf, shelf: CatalogModel) -> None:
        text = read(client_of("alice"), "/w/alpha/models/?language=ko", **{"HX-Request": "true"})
        assert "One model matches" in text
        assert "<html" not in text

    def test_only_what_fits(self, client_of: ClientOf, shelf: CatalogModel) -> None:
        text = read(client_of("alice"), "/w/alpha/models/?fits=1")
        assert "What fits in your places now" in text
        assert '/w/alpha/models/large/"' in text
        assert '/w/alpha/models/huge/"' not in text

    @pytest.mark.parametrize(("query", "words"), [
        ("?q=nothing-like-it", "Show all models"), ("?page=9", "Show the first page"), ("?fits=1&q=huge", "No model fits")])
    def test_an_empty_list_offers_the_next_act(self, client_of: ClientOf, shelf: CatalogModel, query: str, words: str) -> None:
        assert words in read(client_of("alice"), f"/w/alpha/models/{query}")

    def test_what_is_typed_is_shown_as_text(self, client_of: ClientOf, shelf: CatalogModel) -> None:
        text = read(client_of("alice"), "/w/alpha/models/?q=%3Cscript%3Ealert(1)%3C/script%3E")
        assert "<script>alert" not in text

    def test_an_empty_shelf_says_whom_to_ask(self, client_of: ClientOf) -> None:
        assert "No model is on the shelf yet" in read(client_of("alice"), "/w/alpha/models/")

    def test_many_models_and_places_stay_within_the_queries(
        self, client_of: ClientOf, cast: Cast, shelf: CatalogModel, django_assert_max_num_queries: DjangoAssertNumQueries,
    ) -> None:
        for number in range(30):
            make_profile(f"more-{number}-cpu")
        for number in range(9):
            make_host(make_cluster(f"place-{number}"), f"host-{number}", gpus=2)
        TokenPrice.objects.create(model=shelf, prompt=1, completion=2)
        alice = client_of("alice")
        alice.get("/w/alpha/")
        with django_assert_max_num_queries(25):
            text = read(alice, "/w/alpha/models/")
        assert "1 to 25 of 32" in text
        assert "page=2" in text
        with django_assert_max_num_queries(25):
            read(alice, "/w/alpha/models/large/")

    def test_a_model_says_where_it_fits_and_leads_to_its_deployment(self, client_of: ClientOf, shelf: CatalogModel) -> None:
        text = read(client_of("bob"), "/w/alpha/models/large/")
        assert "It fits in one of your places." in text
        assert "?model=large&amp;profile=large-gpu&amp;place=gpu-east" in text
        assert "--max-num-seqs 8" in text
        assert "한국어" in text
        assert "by the size of its weights" in text

    def test_a_viewer_may_look_and_not_deploy(self, client_of: ClientOf, shelf: CatalogModel) -> None:
        assert "Deploy here" not in read(client_of("vera"), "/w/alpha/models/large/")

    @pytest.mark.parametrize("slug", ["theirs", "nowhere", "LARGE"])
    def test_a_neighbours_model_answers_as_a_missing_one(self, client_of: ClientOf, shelf: CatalogModel, slug: str) -> None:
        assert client_of("alice").get(f"/w/alpha/models/{slug}/").status_code == 404

    def test_what_does_not_fit_says_why(self, client_of: ClientOf, shelf: CatalogModel) -> None:
        text = read(client_of("alice"), "/w/alpha/models/huge/")
        assert "It fits in none of your places." in text
        assert "It does not fit" in text
        assert "Missing before the first token" in text

    def test_a_chosen_profile_is_judged_everywhere(self, client_of: ClientOf, shelf: CatalogModel) -> None:
        make_profile("large-cpu", shelf, memory_bytes=30 * GIB, environment={"VLLM_CPU_KVCACHE_SPACE": "4"})
        text = read(client_of("alice"), "/w/alpha/models/large/?profile=large-cpu&place=gpu-east")
        assert "Shown for the profile large-cpu." in text
        assert "Claimed by the profile" in text
        assert "Shown for" not in read(client_of("alice"), "/w/alpha/models/large/?profile=theirs-cpu")

    def test_a_gated_model_without_a_token_says_so(self, client_of: ClientOf, shelf: CatalogModel) -> None:
        CatalogModel.objects.filter(pk=shelf.pk).update(gated=True)
        Artifact.objects.filter(model=shelf).update(kind="huggingface", location="acme/large")
        text = read(client_of("alice"), "/w/alpha/models/large/")
        assert "No token" in text
        assert "its hub asks for a token" in text

    def test_operators_see_every_workspace(self, client_of: ClientOf, shelf: CatalogModel) -> None:
        text = read(client_of("operator"), "/w/-/models/")
        assert "Theirs" in text
        assert "Deploy here" not in read(client_of("operator"), "/w/-/models/large/")

    def test_it_tells_what_serves_it_and_what_was_measured(self, client_of: ClientOf, cast: Cast, shelf: CatalogModel) -> None:
        profile, place = Profile.objects.get(slug="large-gpu"), shelf.profiles.get()
        assert profile == place
        endpoint = make_endpoint(cast, cast.alpha, make_cluster("other"), profile, "my-large")
        values: dict[str, Any] = {"workspace": cast.alpha, "number": 7, "endpoint": endpoint, "model_name": "my-large",
                                  "facts": {"profile": "large-gpu", "places": ["other"]}, "state": "done"}
        LoadTest.objects.create(**values, summary={"tokens_per_second": 1612.4, "first": {"p95": 0.31}})
        text = read(client_of("alice"), "/w/alpha/models/large/")
        assert "my-large" in text
        assert "1,612" in text
        assert "310 ms" in text
        assert "my-large" not in read(client_of("charlie"), "/w/beta/models/large/")
