"""From a spec to the objects of one endpoint, in the order in which they are sent. Pure."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from clusters.drivers.kinds import (
    INFERENCE_ENDPOINT_CONFIG,
    JUMPSTART_MODEL,
    NETWORK_POLICY,
    SERVICE,
    SERVICE_ACCOUNT,
)
from endpoints.options import check_body
from endpoints.states import Cause
from endpoints.targets.base import Spec, TargetError
from endpoints.targets.kubernetes.bundle import Kinds
from endpoints.targets.kubernetes.names import pull_secret_name
from endpoints.targets.kubernetes.secrets import secrets_with
from endpoints.targets.kubernetes.seen import Anything

from .config import operator_manifest
from .engine import secret_data
from .names import labels, manifest
from .network import network_policy, service
from .place import HyperPodPlace
from .refusals import check
from .seen import Config


def kinds_in(place: HyperPodPlace) -> Kinds:
    """In the order in which they are deleted: first what makes pods."""
    jumpstart = {JUMPSTART_MODEL: Config} if place.has_jumpstart else {}
    return {INFERENCE_ENDPOINT_CONFIG: Config, **jumpstart, SERVICE: Anything, NETWORK_POLICY: Anything,
            SERVICE_ACCOUNT: Anything}


def render(spec: Spec, place: HyperPodPlace) -> list[dict[str, Any]]:
    """Everything that the endpoint is in this cluster; what the operator reads comes last.

    Raises TargetError, permanent: for what can never run here, and for a body that the CRD's schema does not know.
    """
    check(spec, place)
    body = operator_manifest(spec, place)
    wrong = check_body(body["kind"], body)
    if wrong:
        raise TargetError(Cause.INVALID, _("HyperPod would refuse it: %(why)s") % {"why": " ".join(wrong[:5])}, permanent=True)
    made = [_labelled(each, spec) for each in secrets_with(spec, secret_data(spec))]
    if spec.wanted.registry_password:
        made.append(manifest(SERVICE_ACCOUNT, spec, spec.object_name,
                             imagePullSecrets=[{"name": pull_secret_name(spec)}], automountServiceAccountToken=False))
    return [*made, network_policy(spec, place), service(spec), body]


def _labelled(secret: dict[str, Any], spec: Spec) -> dict[str, Any]:
    """With the labels of this place only: `app` is the operator's."""
    return {**secret, "metadata": {**secret["metadata"], "labels": labels(spec)}}
