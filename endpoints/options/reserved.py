"""Options that only operators set: they reach into the AWS account, or bring code that no profile has.

A member of a workspace is trusted with models and sizes, not with roles, keys, buckets, domains, containers or raw
variables (docs/threat-model.md). What an operator has set stays when a member changes something else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from models_catalog.arguments import check_environment
from portal.tenancy.errors import Invalid

from .case import parts, value_at
from .hyperpod import IEC, JUMPSTART
from .sagemaker import KIND as SAGEMAKER
from .schema import Problem

_BUCKET = _("it says where in S3 the account writes to; without it the place's own folder is taken")
_KEY = _("it names a key of the account")
_ROLE = _("it names a role or an account that may do more than the endpoint")
_DOMAIN = _("it takes a certificate or a domain of the account")
_GOVERNED = _("the workspace's task governance says it")
_CODE = _("it brings code into the cluster that no profile has")

_DOOR_AND_CAPTURE: Mapping[str, str | Promise] = {
    "tlsConfig": _DOMAIN, "dnsConfig": _DOMAIN, "dataCapture.s3Uri": _BUCKET,
    "dataCapture.sagemakerEndpoint.kmsKeyId": _KEY, "dataCapture.modelPod.kmsKeyId": _KEY,
    "kvCacheSpec.cacheConfigFile": _CODE,
}
RESERVED: Mapping[str, Mapping[str, str | Promise]] = {
    IEC: {
        **_DOOR_AND_CAPTURE, "kubernetes.initContainers": _CODE, "kubernetes.volumes": _CODE,
        "kubernetes.serviceAccountName": _ROLE, "kubernetes.schedulerName": _CODE,
    },
    JUMPSTART: {
        **_DOOR_AND_CAPTURE, "server.executionRole": _ROLE, "model.gatedModelDownloadRole": _ROLE,
        "model.modelHubName": _("the licence was accepted for a model of the public hub"),
        "model.additionalConfigs": _CODE,
    },
    SAGEMAKER: {
        "KmsKeyId": _KEY, "DataCaptureConfig.DestinationS3Uri": _BUCKET, "DataCaptureConfig.KmsKeyId": _KEY,
        "AsyncInferenceConfig.OutputConfig.S3OutputPath": _BUCKET, "AsyncInferenceConfig.OutputConfig.S3FailurePath": _BUCKET,
        "AsyncInferenceConfig.OutputConfig.KmsKeyId": _KEY,
        "AsyncInferenceConfig.OutputConfig.NotificationConfig": _("it sends messages to topics of the account"),
        "CoreDumpConfig": _BUCKET, "EnableSSMAccess": _("it lets people of the account into the machine"),
        "CapacityReservationConfig": _("it uses up capacity that the account has reserved"),
    },
}
VARIABLES = ("worker.environmentVariables", "environmentVariables")


def is_reserved(kind: str, path: str) -> bool:
    """Whether the field, or what holds it, is for operators."""
    return any(f"{path}.".startswith(f"{name}.") for name in RESERVED.get(kind, ()))


def reserved(
    kind: str, options: Mapping[str, Any], before: Mapping[str, Any], governed: Collection[str] = (),
) -> Iterator[Problem]:
    """What of checked options only an operator may set, where it is not so in `before` already.

    `governed` are options for which an operator has made a rule for the workspace.
    """
    for path, why in {**RESERVED.get(kind, {}), **dict.fromkeys(governed, _GOVERNED)}.items():
        value = value_at(options, path)
        if value is not None and value != value_at(before, path):
            yield Problem(path, _for_operators(why))
    yield from _commands(options, before)
    for path in VARIABLES:
        kept = value_at(before, path) or ()
        for index, variable in enumerate(value_at(options, path) or ()):
            if variable not in kept:
                yield from _variable(f"{path}.{index}", variable)


def _for_operators(why: str | Promise) -> str:
    return _now("Only an operator sets this: %(why)s.") % {"why": why}


def _commands(options: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[Problem]:
    """A probe may ask an address; one that runs a command runs it beside the engine."""
    if value_at(options, "worker.probes") == value_at(before, "worker.probes"):
        return
    for where, part in parts(value_at(options, "worker.probes"), "worker.probes"):
        if "exec" in part:
            yield Problem(f"{where}.exec", _for_operators(_CODE))


def _variable(path: str, variable: Mapping[str, Any]) -> Iterator[Problem]:
    """As in a profile: the catalogue's variables with values that fit."""
    if variable.get("valueFrom"):
        yield Problem(f"{path}.valueFrom", _for_operators(_("it hands a Secret of the namespace to the engine")))
        return
    try:
        check_environment({variable["name"]: variable.get("value", "")})
    except Invalid as error:
        yield Problem(f"{path}.name", _now("%(why)s An operator may set others.") % {"why": error.message})
