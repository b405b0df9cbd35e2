"""What SageMaker says of an endpoint or a component: its status, and the cause that its own words mean.

Which words mean which cause: endpoints/targets/sagemaker/causes.py.
"""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from endpoints.states import Cause

from ..clues import Source
from ..findings import Rule, rule

STATUS = r"(?:Endpoint|InferenceComponent)Status=(?P<status>\w+)"


def _said(name: str, cause: Cause, weight: int, sentence: Promise, next_step: Promise) -> Rule:
    return rule(f"sagemaker_{name}", cause, weight, Source.CONDITION, f"{STATUS}/{cause.value}", sentence, next_step,
                kinds=("Endpoint", "InferenceComponent"))


SAGEMAKER = (
    _said("quota", Cause.QUOTA, 92, _("The AWS account's quota does not allow these instances: %(said)s"),
          _("Ask AWS for a larger quota for endpoint usage of the type, or choose another type, then press Retry.")),
    _said("no_room", Cause.NO_ROOM, 91, _("AWS has no instance of this type free in the region now: %(said)s"),
          _("Press Retry later, or choose another instance type or several pools of them.")),
    _said("forbidden", Cause.FORBIDDEN, 84, _("The execution role lacks a right: %(said)s"),
          _("Give the execution role of the place the right that the message names, then press Retry.")),
    _said("model_missing", Cause.MODEL_MISSING, 84, _("SageMaker does not find the weights: %(said)s"),
          _("Correct the artifact's address, and check that it is in a region that the role reads, then press Update.")),
    _said("gated", Cause.GATED, 84, _("The model is gated, and its hub or licence does not let it be loaded: %(said)s"),
          _("Accept the licence, and give the artifact a token that may read it, then press Retry.")),
    _said("image", Cause.IMAGE, 83, _("SageMaker can't pull the container's image: %(said)s"),
          _("Correct the image of the engine release, and let the execution role read its ECR repository, then press Update.")),
    _said("disk", Cause.DISK_FULL, 83, _("The weights do not fit on the instance's disk: %(said)s"),
          _("Set VolumeSizeInGB in the options, or choose an instance with a larger disk, then press Update.")),
    _said("network", Cause.NETWORK, 82, _("The network of the place does not work for the endpoint: %(said)s"),
          _("Correct subnets and security groups on the place's page, then press Retry.")),
    _said("memory", Cause.MEMORY, 82, _("The container ran out of memory: %(said)s"),
          _("Choose a larger instance type, a smaller max-model-len or a quantised model, then press Update.")),
    _said("probe", Cause.PROBE, 40, _("The container did not answer SageMaker's health check in time: %(said)s"),
          _("Look at its last lines below; if it was still loading, give ContainerStartupHealthCheckTimeoutInSeconds more.")),
    _said("error", Cause.ERROR, 38, _("SageMaker gave up: %(said)s"),
          _("Do what the message says, or look at the last lines below, then press Retry.")),
    rule("sagemaker_silent", Cause.ERROR, 37, Source.CONDITION, r"(?:Endpoint|InferenceComponent)Status=(?P<status>Failed)",
         _("SageMaker gave up and does not say why."),
         _("Look at the last lines below and at the endpoint in the AWS console, then press Retry."),
         kinds=("Endpoint", "InferenceComponent")),
    rule("sagemaker_moving", Cause.LOADING, 9, Source.CONDITION,
         r"(?:Endpoint|InferenceComponent)Status=(?P<status>Creating|Updating|SystemUpdating|RollingBack|Deleting)(?:/.*)?",
         _("SageMaker is at work on it (%(status)s)."),
         _("Wait: SageMaker needs some minutes for instances and weights, and says when it gives up."),
         kinds=("Endpoint", "InferenceComponent")),
)
