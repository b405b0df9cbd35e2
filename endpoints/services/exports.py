"""An endpoint as text that others can apply: a VLLMCluster, plain manifests, or values for a Helm chart. No secrets."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import yaml
from django.utils.translation import gettext as _

from clusters.states import KUBERNETES_KINDS, ClusterKind
from endpoints.models import Endpoint
from endpoints.targets import target_for
from endpoints.targets.base import Spec, TargetError
from endpoints.targets.kubernetes.place import PlaceView
from endpoints.targets.kubernetes.render import render
from endpoints.targets.kubernetes.secrets import shown
from endpoints.vllmclusters import helm_values, vllmcluster
from models_catalog.choices import ArtifactKind, EngineKind
from portal.tenancy.errors import Conflict, Invalid

from .specs import spec_of


class Form(StrEnum):
    VLLMCLUSTER = "vllmcluster"
    MANIFESTS = "manifests"
    HELM = "helm"


def export(endpoint: Endpoint, form: str) -> str:
    """YAML with what is left out as comments. Raises Invalid for another form, Conflict where it has no such form."""
    if endpoint.wanted is None:
        raise Conflict(_("%(name)s has no revision yet.") % {"name": endpoint.name})
    if form not in set(Form):
        raise Invalid(_("Choose one of: %(forms)s.") % {"forms": ", ".join(Form)}, field="form")
    spec = spec_of(endpoint)
    if form == Form.MANIFESTS:
        return _text(_manifests(endpoint, spec), [_("Secrets have no values here.")])
    _require_vllm(spec)
    try:
        made, notes = vllmcluster(spec) if form == Form.VLLMCLUSTER else helm_values(spec)
    except KeyError as error:
        raise Conflict(_("This engine has no figure for the signal %(signal)s.") % {"signal": error}) from error
    return _text([made], notes)


def _require_vllm(spec: Spec) -> None:
    wanted = spec.wanted
    if wanted.engine != EngineKind.VLLM:
        raise Conflict(_("This form is for vLLM, and %(name)s runs with %(engine)s: export plain manifests.")
                       % {"name": spec.name, "engine": wanted.engine})
    if wanted.artifact_kind not in (ArtifactKind.HUGGING_FACE, ArtifactKind.VOLUME):
        raise Conflict(_("The weights at %(location)s can't be named in this form: it takes a hub's model or a claim.")
                       % {"location": wanted.artifact_location})


def _manifests(endpoint: Endpoint, spec: Spec) -> list[dict[str, Any]]:
    """As its own place gets them; for hosts as a plain cluster with KEDA and LeaderWorkerSet would."""
    try:
        if endpoint.cluster.kind == ClusterKind.SAGEMAKER:
            return target_for(endpoint.cluster).render(spec)  # the parameters of each call, without secrets
        if endpoint.cluster.kind in KUBERNETES_KINDS:
            return shown(target_for(endpoint.cluster).render(spec))
        return shown(render(spec, PlaceView(name=endpoint.cluster.name, capabilities=frozenset({"keda", "keda_http", "lws"}))))
    except TargetError as error:
        raise Conflict(error.message) from error


def _text(documents: list[dict[str, Any]], notes: list[str]) -> str:
    comments = "".join(f"# {' '.join(note.split())}\n" for note in notes)
    return comments + yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, width=120)
