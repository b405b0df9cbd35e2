"""Bring the seed into the tables: set-based, safe to repeat, and blind to nothing that a person changed.

Each row keeps in `seeded` what the seed last wrote. A field is updated only where it still has that value;
a row without `seeded` was made by a person and stays as it is. A deleted row comes back with the next load,
so a model that nobody should choose is taken off the shelf instead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from portal.tenancy.actor import PORTAL, Actor
from portal.tenancy.audit import record, snapshot
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Invalid

from ..choices import ArtifactKind
from ..models import Artifact, CatalogModel, EngineRelease, Profile, Vendor
from .files import read_models, read_releases, read_vendors
from .profiles import profiles_of

T = TypeVar("T", Vendor, EngineRelease, CatalogModel, Artifact, Profile)

MODEL_FIELDS = (
    "slug", "name", "task", "category", "licence", "gated", "languages", "released", "parameters", "parameters_active",
    "context_tokens", "weights_bytes", "architecture", "dtype", "quantisation", "shape", "sources",
)


@dataclass
class Loaded:
    """How many rows were new, brought up to date, or kept because a person had changed them."""

    created: int = 0
    updated: int = 0
    kept: int = 0
    models: int = 0
    profiles: int = 0
    slugs: set[str] = field(default_factory=set)


@retry_tx
def load_catalogue(only: Collection[str] = (), actor: Actor = PORTAL) -> Loaded:
    """Load the whole seed, or the models with the slugs in `only` and what they need. Raises Invalid."""
    facts = [fact for fact in read_models() if not only or fact["slug"] in only]
    unknown = sorted(set(only) - {fact["slug"] for fact in facts})
    if unknown:
        raise Invalid(f"The seed has no model {', '.join(unknown)}.", field="only")
    loaded = Loaded()
    makers = {fact["vendor"] for fact in facts}
    vendors = _merge(actor, loaded, Vendor, [row for row in read_vendors() if row["slug"] in makers], by_slug)
    releases = _merge(actor, loaded, EngineRelease, read_releases(), by_slug)
    models = _merge(actor, loaded, CatalogModel, [_model_values(fact, vendors) for fact in facts], by_slug)
    artifacts = _merge(actor, loaded, Artifact, [_artifact_values(fact, models) for fact in facts], by_place)
    profiles = [_profile_values(values, models[fact["slug"]], artifacts, fact, releases)
                for fact in facts for values in profiles_of(fact)]
    _merge(actor, loaded, Profile, profiles, by_slug)
    loaded.models, loaded.profiles = len(facts), len(profiles)
    return loaded


def by_slug(row: Any) -> Any:
    return row["slug"] if isinstance(row, dict) else row.slug


def by_place(row: Any) -> Any:
    if isinstance(row, dict):
        return row["model_id"], row["kind"], row["location"]
    return row.model_id, row.kind, row.location


def _model_values(fact: dict[str, Any], vendors: dict[Any, Vendor]) -> dict[str, Any]:
    values = {name: fact[name] for name in MODEL_FIELDS}
    about = {name: fact[name] for name in ("confidence", "weights_source", "vllm_since")}
    description = " ".join(text for text in (fact["off_shelf"], fact["note"]) if text)
    return {**values, "shape": {**fact["shape"], "about": about}, "vendor_id": vendors[fact["vendor"]].pk,
            "shelved": not fact["off_shelf"], "description": description}


def _artifact_values(fact: dict[str, Any], models: dict[Any, CatalogModel]) -> dict[str, Any]:
    # No commit is known for any of them, so the revision stays empty and the admin says so.
    return {"model_id": models[fact["slug"]].pk, "kind": ArtifactKind.HUGGING_FACE.value, "location": fact["hub"],
            "size_bytes": fact["weights_bytes"]}


def _profile_values(
    values: dict[str, Any], model: CatalogModel, artifacts: dict[Any, Artifact], fact: dict[str, Any],
    releases: dict[Any, EngineRelease],
) -> dict[str, Any]:
    artifact = artifacts[model.pk, ArtifactKind.HUGGING_FACE, fact["hub"]]
    kept = {name: value for name, value in values.items() if name != "release"}
    return {**kept, "model_id": model.pk, "artifact_id": artifact.pk, "release_id": releases[values["release"]].pk}


def _merge(
    actor: Actor, loaded: Loaded, kind: type[T], rows: list[dict[str, Any]], key: Callable[[Any], Any],
) -> dict[Any, T]:
    """Create what is missing, update what nobody touched; all rows of the seed by their key."""
    there: dict[Any, T] = {key(row): row for row in _existing(kind, rows)}
    new: list[T] = [kind(**values, seeded=values) for values in rows if key(values) not in there]
    changed = [row for values in rows if (row := there.get(key(values))) and _update(actor, loaded, row, values)]
    kind._default_manager.bulk_create(new)
    if changed:
        fields = {name for values in rows for name in values} | {"seeded"}
        kind._default_manager.bulk_update(changed, sorted(fields), batch_size=100)
    loaded.created += len(new)
    loaded.updated += len(changed)
    fresh = {key(row): row for row in _existing(kind, rows)} if new else there
    return {key(values): fresh[key(values)] for values in rows}


def _existing(kind: type[T], rows: list[dict[str, Any]]) -> Iterable[T]:
    names = ["slug"] if "slug" in rows[0] else ["model_id", "location"]
    wanted = {f"{name}__in": [row[name] for row in rows] for name in names}
    return kind._default_manager.filter(**wanted)


def _update(actor: Actor, loaded: Loaded, row: T, values: dict[str, Any]) -> bool:
    """Take over new seed values field by field; whether anything changed."""
    mine = {name for name, value in row.seeded.items() if getattr(row, name, None) == value}
    if mine != set(row.seeded) or not row.seeded:
        loaded.kept += 1
    wanted = {name: value for name, value in values.items() if name in mine and getattr(row, name) != value}
    if not wanted:
        return False
    before = snapshot(row, wanted)
    for name, value in wanted.items():
        setattr(row, name, value)
    row.seeded = {**row.seeded, **wanted}
    record(actor, "load seed", row, before=before, after=snapshot(row, wanted))
    return True
