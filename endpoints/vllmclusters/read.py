"""From a VLLMCluster to a wish, with a note on everything that can't be taken as it is written (facts.md 3 and 8).

The guide's own samples ask for things that no engine can do; they become what was meant, and people are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from clusters.drivers.kinds import VLLM_CLUSTER
from models_catalog.choices import ArtifactKind, Device
from models_catalog.locations import check_location, check_revision
from models_catalog.placement import check_placement
from portal.tenancy.errors import Invalid

from . import engine, needs
from .facts import ModelFacts
from .parts import mapping, text_at, unknown, whole_at
from .scaling import autoscale_of

SPEC_PARTS = ("model", "vllm", "replicas", "resources", "autoScaling")


@dataclass(frozen=True)
class Wished:
    """One object's wish in the portal's words. Memory in bytes, CPU in thousandths, for each node of a replica."""

    namespace: str
    name: str
    uid: str
    generation: int
    artifact_kind: str
    location: str
    revision: str
    device: str
    replicas: int
    needs: needs.Needs
    arguments: Mapping[str, Any]
    environment: Mapping[str, str]
    placement: Mapping[str, Any]
    autoscale: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def model_of(manifest: Any) -> tuple[str, str, str]:
    """Kind, location and revision of the weights that the object names. Raises Invalid."""
    if (manifest.get("apiVersion"), manifest.get("kind")) != (VLLM_CLUSTER.api_version, VLLM_CLUSTER.kind):
        raise Invalid(_("This is no VLLMCluster of %(version)s.") % {"version": VLLM_CLUSTER.api_version}, field="kind")
    model = mapping(mapping(manifest, "spec"), "model", "spec.model")
    location = text_at(model, "modelPath", "spec.model.modelPath")
    if not location:
        raise Invalid(_("spec.model.modelPath is missing: it names the model, such as Qwen/Qwen3-0.6B. Objects of the "
                        "published proof of concept have no model and serve none."), field="spec.model.modelPath")
    if location.startswith("/"):
        raise Invalid(_("spec.model.modelPath is a folder of a node, which pods don't see: name a model of the hub, or a claim "
                        "as pvc://claim/folder."), field="spec.model.modelPath")
    kind = ArtifactKind.VOLUME if location.startswith("pvc://") else ArtifactKind.HUGGING_FACE
    revision = text_at(model, "revision", "spec.model.revision")
    return kind, check_location(kind, location), check_revision(kind, revision)


def read(manifest: Mapping[str, Any], facts: ModelFacts | None = None) -> Wished:
    """The wish of one object. Raises Invalid with the path of the field that can't be followed."""
    kind, location, revision = model_of(manifest)
    metadata, spec = mapping(manifest, "metadata"), mapping(manifest, "spec")
    known, notes = facts or ModelFacts(), [*unknown(spec, SPEC_PARTS, "spec")]
    vllm = mapping(spec, "vllm", "spec.vllm")
    needed = needs.read(spec, vllm, known.weights_bytes, notes)
    arguments = engine.arguments(mapping(spec, "model"), vllm, needed, known, notes)
    environment = engine.environment(needed, known, arguments)
    placement = _placement(mapping(spec, "resources"), needed, notes)
    replicas = whole_at(spec, "replicas", "spec.replicas", default=1, least=0)
    autoscale = autoscale_of(spec, replicas, needed, notes)
    engine.warn_of_hardware(placement, arguments, notes)
    if known.gated:
        notes.append(_("%(model)s is gated: accept its licence at the hub and give its artifact a token in the portal.")
                     % {"model": location})
    return Wished(
        namespace=text_at(metadata, "namespace", "metadata.namespace"), name=text_at(metadata, "name", "metadata.name"),
        uid=text_at(metadata, "uid", "metadata.uid"), generation=whole_at(metadata, "generation", "metadata.generation", 0, 0),
        artifact_kind=kind, location=location, revision=revision, device=Device.CUDA if needed.gpus else Device.CPU,
        replicas=replicas, needs=needed, arguments=arguments, environment=environment, placement=placement,
        autoscale=autoscale, notes=tuple(notes))


def _placement(resources: Mapping[str, Any], needed: needs.Needs, notes: list[str]) -> dict[str, Any]:
    tolerations = resources.get("tolerations") or []
    found = check_placement({"node_selector": resources.get("nodeSelector") or {}, "tolerations": tolerations})
    for one in found.get("tolerations", ()):
        if one.get("operator", "Equal") == "Equal" and needed.gpus and str(one.get("key", "")).endswith("/gpu"):
            notes.append(_("The toleration %(key)s=%(value)s fits that one value only, and many clusters taint with another or "
                           "none: the portal adds one with the operator Exists.")
                         % {"key": one["key"], "value": one.get("value", "")})
    return found
