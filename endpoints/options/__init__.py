"""What only one kind of place knows about an endpoint, checked before it is wished: a revision keeps it as `options`.

HyperPod: fields of the operator's objects in their own names and nesting, and `entrance`, `queue`, `priorityClass`.
SageMaker: the names of its API, see `sagemaker`. Pure but for the row of the place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from clusters.models import Cluster
from clusters.states import ClusterKind
from models_catalog.models import Profile
from portal.tenancy.errors import Invalid

from . import hyperpod, sagemaker
from .case import Case
from .reserved import is_reserved, reserved
from .schema import Problem, check_body

__all__ = ["Problem", "check_body", "check_change", "check_options", "check_reserved", "is_reserved", "object_kind",
           "problems_of", "reserved_problems", "spec_for"]

MOST_CHARS, MOST_TOLD = 65_536, 5


def check_options(cluster: Cluster, spec: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as a revision keeps them. Raises Invalid (field ``options``)."""
    if not options and cluster.kind not in RULES:
        return {}
    _refuse(problems_of(cluster, spec, options))
    kept: dict[str, Any] = json.loads(json.dumps(options))  # nobody else's object, and plain JSON
    return kept


def check_reserved(
    cluster: Cluster, spec: Mapping[str, Any], options: Mapping[str, Any], before: Mapping[str, Any],
) -> None:
    """Raises Invalid (field ``options``) for what only operators set; `before` are the options that are there, which stay."""
    _refuse(reserved_problems(cluster, spec, options, before))


def _refuse(found: list[Problem]) -> None:
    if found:
        more = len(found) - MOST_TOLD
        said = [str(problem) for problem in found[:MOST_TOLD]]
        raise Invalid(" ".join([*said, *([_("And %(count)d more.") % {"count": more}] if more > 0 else [])]), field="options")


RULES = {ClusterKind.HYPERPOD: hyperpod.check, ClusterKind.SAGEMAKER: sagemaker.check}


def problems_of(cluster: Cluster, spec: Mapping[str, Any], options: Any) -> list[Problem]:
    """Everything that is wrong with them, each with its path."""
    if cluster.kind not in RULES:
        return [Problem("", _("Places of this kind have no options of their own."))]
    if not isinstance(options, Mapping) or not _is_plain(options):
        return [Problem("", _("Options are one JSON object of at most %(most)d KB.") % {"most": MOST_CHARS // 1024})]
    return RULES[ClusterKind(cluster.kind)](Case(object_kind(cluster, spec), options, spec, cluster))


def reserved_problems(
    cluster: Cluster, spec: Mapping[str, Any], options: Mapping[str, Any], before: Mapping[str, Any],
) -> list[Problem]:
    """What of checked options is an operator's to set: see `reserved`. A governed workspace's queue and priority are, too."""
    return list(reserved(object_kind(cluster, spec), options, before, spec.get("governance") or ()))


def object_kind(cluster: Cluster, spec: Mapping[str, Any]) -> str:
    """Whose fields the options are: a kind of the HyperPod operator, SageMaker, or "" for places without options."""
    if cluster.kind == ClusterKind.HYPERPOD:
        return hyperpod.kind_of(spec)
    return sagemaker.KIND if cluster.kind == ClusterKind.SAGEMAKER else ""


def spec_for(profile: Profile) -> dict[str, Any]:
    """What the rules need to know of a profile, before there is a revision's spec."""
    return {"engine": profile.release.kind, "release": profile.release.slug, "task": profile.model.task,
            "artifact": {"kind": profile.artifact.kind}, "placement": profile.placement}


def _is_plain(options: Mapping[str, Any]) -> bool:
    try:
        return len(json.dumps(options, allow_nan=False)) <= MOST_CHARS
    except (TypeError, ValueError, RecursionError):
        return False


def check_change(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """From one revision's spec to the next while the endpoint runs. Raises Invalid (field ``options``).

    The operator takes intelligent routing with a new object only, and never off again.
    """
    was, will = (hyperpod.routes(spec.get("options") or {}) for spec in (before, after))
    if was != will:
        raise Invalid(str(Problem("intelligentRoutingSpec.enabled", _(
            "Intelligent routing can't be added to an endpoint that runs, or taken from it: stop it, change it, start it "
            "again."))), field="options")
