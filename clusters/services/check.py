"""The connection test: what a cluster is, which optional parts it has, and which rights the credential lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now
from django.utils.translation import ngettext

from clusters.capabilities import CAPABILITIES, FAKE_GPU_LABEL
from clusters.credential import Credential, checked
from clusters.drivers import kinds
from clusters.drivers.kube import Kube, kube_for
from clusters.drivers.kube_errors import KubeError, Problem
from clusters.models import Cluster, KubernetesAccess
from clusters.rbac import HOME, IN_WORKSPACES, WIDE, Right
from clusters.states import Reach, Through
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Invalid
from portal.tenancy.text import clean

from .connect import access_of

AT_ONCE = 8  # access reviews, one for each verb and kind, side by side
MOST_GATEWAYS = 100
_REACH = {
    Problem.AUTH: Reach.AUTH_FAILED, Problem.FORBIDDEN: Reach.FORBIDDEN, Problem.TLS: Reach.TLS_FAILED,
    Problem.UNREACHABLE: Reach.UNREACHABLE, Problem.BUSY: Reach.UNREACHABLE,
}
# Where CRDs and their operators say which release they are.
_RELEASE = ("app.kubernetes.io/version", "gateway.networking.k8s.io/bundle-version", "operator.prometheus.io/version")


@dataclass(frozen=True)
class Check:
    """`capabilities` and `missing_rights` in the form that `KubernetesAccess` keeps; empty where nothing was reached."""

    reach: Reach
    message: str = ""
    version: str = ""
    user: str = ""
    capabilities: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing_rights: list[dict[str, str]] = field(default_factory=list)


class _Meta(msgspec.Struct):
    namespace: str = ""
    name: str = ""


class _Named(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


def check_access(place: Cluster) -> Check:
    """Ask the cluster and keep what it says. Never raises for what the cluster does; not inside a transaction."""
    access = access_of(place)
    try:
        found = look(kube_for(place), at_once=1 if access.through == Through.AGENT else AT_ONCE)
    except KubeError as error:
        found = Check(reach_of(error), error.message)
    else:
        found = replace(found, message=" ".join(filter(None, [found.message, *_expiry(access)])))
    if access.pk:
        _keep(access, found)
    return found


def _expiry(access: KubernetesAccess) -> list[str]:
    """What to know about the end of the stored credential, in words."""
    if access.through != Through.DIRECT:
        return []
    try:
        stored = Credential(access.server, access.ca, access.secret("token"), access.client_certificate,
                            access.secret("client_key"))
        return checked(stored)[1]
    except Invalid as error:
        return [error.message]


def look(kube: Kube, *, at_once: int = AT_ONCE) -> Check:
    """Everything that a test asks. Raises KubeError where the first calls fail."""
    version, user = kube.version(), kube.whoami()
    capabilities = dict(_capabilities(kube))
    missing = missing_rights(kube, {name for name, found in capabilities.items() if found["found"]}, at_once=at_once)
    if not missing:
        return Check(Reach.OK, "", version, user, capabilities)
    message = ngettext("A right is missing: %(verb)s %(resource)s.",
                       "%(n)d rights are missing, the first: %(verb)s %(resource)s.", len(missing)) % {
                           "n": len(missing), **missing[0]}
    return Check(Reach.FORBIDDEN, message, version, user, capabilities, missing)


def missing_rights(kube: Kube, found: Iterable[str], *, at_once: int = AT_ONCE) -> list[dict[str, str]]:
    """Each right of the tables that the credential lacks; those for parts that are not there are not asked for.

    `at_once` is 1 where the road to the cluster goes through the database: its connections belong to one thread.
    """
    have = {"", *found}
    asked = [(right, verb, namespace) for rights, namespace in ((WIDE, ""), (IN_WORKSPACES, HOME))
             for right in rights if right.needs in have for verb in right.verbs]
    if at_once == 1:
        answers = [_may(kube, *one) for one in asked]
    else:
        with ThreadPoolExecutor(at_once) as pool:
            answers = list(pool.map(lambda one: _may(kube, *one), asked))
    return [{"verb": verb, "resource": right.resource, "namespace": namespace}
            for (right, verb, namespace), allowed in zip(asked, answers, strict=True) if not allowed]


def _may(kube: Kube, right: Right, verb: str, namespace: str) -> bool:
    name = right.names[0] if right.names else ""
    return kube.may(verb, right.kind, namespace, right.subresource, name)


def _capabilities(kube: Kube) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in CAPABILITIES:
        if one.kind is None:
            found: dict[str, Any] = {"found": bool(_names(kube, kinds.NODE, labels=f"{FAKE_GPU_LABEL}=true"))}
        elif kube.has(one.kind):
            found = {"found": True, "version": one.kind.version, "release": _release_of(kube, one.kind)}
        else:
            found = {"found": False}
        if one.name == "gateway" and found["found"]:
            found["names"] = _names(kube, kinds.GATEWAY)[:MOST_GATEWAYS]
        yield one.name, found


def _release_of(kube: Kube, kind: kinds.Kind) -> str:
    """The release that the CRD names, "" where it names none or may not be read."""
    try:
        found = kube.get(kinds.CRD, "", f"{kind.plural}.{kind.group}") or {}
    except KubeError as error:
        if error.is_of_the_cluster:
            raise
        return ""
    meta = found.get("metadata", {})
    marks = {**(meta.get("annotations") or {}), **(meta.get("labels") or {})}
    return next((clean(marks[key], 40) for key in _RELEASE if key in marks), "")


def _names(kube: Kube, kind: kinds.Kind, *, labels: str = "") -> list[str]:
    """Namespace/name, or the name alone; none where listing is not allowed: that right is named beside."""
    try:
        found = kube.list(kind, _Named, labels=labels).items
    except KubeError as error:
        if error.is_of_the_cluster:
            raise
        return []
    return sorted(clean("/".join(filter(None, (one.metadata.namespace, one.metadata.name))), 130) for one in found)


def reach_of(error: KubeError | None) -> Reach:
    """What the outcome of a call says about the connection; most refusals of single objects say that it works."""
    return Reach.OK if error is None else _REACH.get(error.problem, Reach.OK)


@retry_tx
def note_reach(access: KubernetesAccess, error: KubeError | None) -> None:
    """Keep what the last look said about the connection; one query where nothing changed.

    A look that went well leaves the test's own words: that a right is missing, or that the token ends soon.
    """
    reach = reach_of(error)
    if reach == Reach.OK and access.missing_rights:
        reach = Reach.FORBIDDEN
    rows = KubernetesAccess.objects.filter(pk=access.pk)
    if error is None or reach == Reach.OK:
        rows.exclude(reach=reach).update(reach_since=Now(), reach=reach, message="")
    else:
        message = clean(error.message, 500)
        rows.exclude(reach=reach, message=message).update(reach_since=_since(reach), reach=reach, message=message)


@retry_tx
def _keep(access: KubernetesAccess, found: Check) -> None:
    """Write the result, unless the connection was changed meanwhile: then another test is on its way."""
    values: dict[str, Any] = {"reach": found.reach, "message": clean(found.message, 500), "checked_at": Now()}
    if found.version:
        values |= {"version": found.version, "capabilities": found.capabilities, "missing_rights": found.missing_rights}
    same = Q(pk=access.pk, server=access.server, token=access.token, client_key=access.client_key, ca=access.ca)
    KubernetesAccess.objects.filter(same).update(reach_since=_since(found.reach), **values)


def _since(reach: Reach) -> Case:
    """Now where the state changes, else what it was; read before the update writes the state, on every database."""
    return Case(When(reach=Value(reach), then=F("reach_since")), default=Now())
