"""What HyperPod's inference operator says of its objects: their status, and its own log lines about them.

Conditions are those that endpoints/targets/hyperpod/evidence.py makes of the status (facts.md 1.10). The operator's wording is
not documented: the words that are looked for are those of AWS's own errors.
"""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from endpoints.states import Cause

from ..clues import Source
from ..findings import Rule, rule

C, E = Source.CONDITION, Source.EVENT
KINDS = ("InferenceEndpointConfig", "JumpStartModel")
# `DeploymentComplete` is False while the operator is still at work, too.
GAVE_UP = r"(?:State|Deployment)=False/DeploymentFailed"


def _said(name: str, cause: Cause, weight: int, sentence: Promise, next_step: Promise, *, text: str) -> Rule:
    """By AWS's words, in the status or in the operator's log."""
    word = rf"{GAVE_UP}|DeploymentComplete=False.*|SageMakerEndpoint=False.*|Operator"
    return rule(f"hyperpod_{name}", cause, weight, (C, E), word, sentence, next_step, text=text, kinds=KINDS)


HYPERPOD = (
    _said("weights_forbidden", Cause.FORBIDDEN, 89, _("HyperPod's inference operator lacks a right in AWS: %(said)s"),
          _("Give the operator's role the right that the message names, such as reading the bucket, then press Retry."),
          text=r"AccessDenied|not authorized|Access Denied|UnauthorizedOperation"),
    _said("weights_missing", Cause.MODEL_MISSING, 88, _("The weights are not where the artifact says: %(said)s"),
          _("Correct the artifact's address, and check that it is in the region of the cluster, then press Update."),
          text=r"NoSuchBucket|NoSuchKey|bucket .*not (?:exist|found)|FileSystemNotFound"),
    _said("endpoint_taken", Cause.NAME_TAKEN, 88, _("The account has a SageMaker endpoint of this name already: %(said)s"),
          _("Choose another endpointName in the options, then press Update."), text=r"existing endpoint|already exist"),
    _said("licence", Cause.GATED, 88, _("The model's licence was not accepted for this endpoint: %(said)s"),
          _("Accept the licence on the model's page for this workspace, then press Update."), text=r"\bEULA\b|acceptEula"),
    _said("aws_limit", Cause.QUOTA, 88, _("A limit of the AWS account is reached: %(said)s"),
          _("Ask AWS for a larger limit, or delete what is not needed, then press Retry."),
          text=r"ResourceLimitExceeded|LimitExceeded|TooMany(?:LoadBalancers|Certificates)"),
    _said("deadline", Cause.DEADLINE, 66, _("The operator gave the deployment up, because it took too long: %(said)s"),
          _("Look at what the pods wait for; for large weights set a longer maxDeployTimeInSeconds in the options."),
          text=r"progress deadline|timed out|time ?out|maxDeployTime"),
    rule("hyperpod_not_registered", Cause.OPERATOR, 80, C, r"SageMakerEndpoint=False/(?P<state>\w+)",
         _("The pods may serve, but SageMaker has no endpoint for them (%(state)s). %(said)s"),
         _("Look at the endpoint in SageMaker; then press Retry, or take endpointName out of the options."), kinds=KINDS),
    rule("hyperpod_not_deleted", Cause.OPERATOR, 90, C, r"(?:DeletionComplete=False.*|State=False/DeletionFailed)",
         _("The operator could not delete what it made: %(said)s"),
         _("Delete what the message names in AWS; the operator tries again by itself."), kinds=KINDS),
    rule("hyperpod_gave_up", Cause.OPERATOR, 64, C, GAVE_UP,
         _("HyperPod's inference operator gave the deployment up: %(said)s"),
         _("Change what the message names, then press Update or Retry."), text=r"\S", kinds=KINDS),
    rule("hyperpod_silent", Cause.OPERATOR, 63, C, GAVE_UP,
         _("HyperPod's inference operator gave the deployment up and does not say why."),
         _("Look at the pods and the operator's log in hyperpod-inference-system, then press Retry."), kinds=KINDS),
    rule("hyperpod_working", Cause.LOADING, 9, C,
         r"State=True/(?P<state>DeploymentPending|DeploymentInProgress)|DeploymentComplete=False.*",
         _("HyperPod's inference operator is at work on it."),
         _("Wait: it says when it is done, or gives up after maxDeployTimeInSeconds."), kinds=KINDS),
    rule("hyperpod_certificate", Cause.TLS, 60, C, r"Certificate=False/(?P<state>\w+)",
         _("The certificate of the load balancer is no longer good (%(state)s)."),
         _("Renew it in ACM, or let the operator make a new one: delete and create the endpoint."), kinds=KINDS),
    rule("hyperpod_dns", Cause.ROUTE, 58, C, r"DNS=False.*", _("The endpoint's DNS record does not work: %(said)s"),
         _("Check the hosted zone and the operator's rights on it."), kinds=KINDS),
    rule("hyperpod_entrance", Cause.ROUTE, 62, C, r"Entrance=False.*",
         _("Its pods are ready, but calls can't enter by the way that was chosen: %(said)s"),
         _("Change what the message names, or choose another entrance in the options."), kinds=KINDS),
    rule("hyperpod_metrics", Cause.OPERATOR, 30, C, r"(?:Metrics|DataCapture)=False.*",
         _("The operator can't collect figures or captured calls: %(said)s"),
         _("Calls are answered all the same; check the metrics and the data capture in the options."), kinds=KINDS),
    rule("hyperpod_said", Cause.OPERATOR, 40, E, "Operator", _("The operator's log says: %(said)s"),
         _("If nothing better is found, give this line to whoever runs the cluster."), kinds=KINDS),
    rule("hyperpod_failed", Cause.OPERATOR, 64, Source.PLACE, Cause.OPERATOR,
         _("HyperPod's inference operator says: %(said)s"), _("Change what the message names, then press Retry.")),
)
