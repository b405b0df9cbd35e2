from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from portal.tenancy.fields import EncryptedField, HoldsSecrets
from portal.tenancy.models import User, Workspace
from portal.tenancy.models.people import slug_rule
from portal.tenancy.rows import Row

from ..states import Reach, SignIn
from .place import Cluster


class AwsAccountQuerySet(models.QuerySet["AwsAccount"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Shared accounts, and those of the person's workspaces."""
        if isinstance(user, User) and user.sees_everything:
            return self
        return self.for_workspaces(Workspace.objects.visible_to(user))

    def for_workspaces(self, workspaces: models.QuerySet[Workspace]) -> Self:
        return self.filter(models.Q(models.Exists(workspaces), workspace=None)
                           | models.Q(workspace__in=workspaces))


class AwsAccount(HoldsSecrets, Row):
    """How the portal signs in to an AWS account: a role that it assumes, keys, or the machine's own role.

    The secret key is bound to its key id: with another id it must be entered again.
    """

    name = models.CharField(_("name"), max_length=63, unique=True, validators=[slug_rule])
    workspace = models.ForeignKey(Workspace, models.PROTECT, null=True, blank=True, related_name="aws_accounts",
                                  verbose_name=_("only for workspace"),
                                  help_text=_("Leave empty to share this account with every workspace."))
    region = models.CharField(_("region"), max_length=30, default="us-east-1",
                              help_text=_("Where HyperPod clusters and endpoints are looked for first, such as us-west-2."))
    sign_in = models.CharField(_("signs in by"), max_length=7, choices=SignIn.choices, default=SignIn.ROLE)
    role_arn = models.CharField(_("role to assume"), max_length=200, blank=True, default="",
                                help_text=_("Such as arn:aws:iam::123456789012:role/inference-portal."))
    external_id = models.CharField(_("external ID"), max_length=200, blank=True, default="",
                                   help_text=_("As the role's trust policy asks for it; it keeps others from using the role "
                                               "through this portal."))
    access_key_id = models.CharField(_("access key ID"), max_length=128, blank=True, default="")
    secret_access_key = EncryptedField(host_field="access_key_id")

    # What the last test found.
    account_id = models.CharField(_("account"), max_length=12, blank=True, default="", editable=False)
    arn = models.CharField(_("signed in as"), max_length=300, blank=True, default="", editable=False)
    reach = models.CharField(_("connection"), max_length=12, choices=Reach.choices, default=Reach.UNKNOWN, editable=False)
    reach_since = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    message = models.CharField(_("message"), max_length=500, blank=True, default="", editable=False)
    checked_at = models.DateTimeField(_("tested"), null=True, editable=False)

    objects = AwsAccountQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("AWS account")
        verbose_name_plural = _("AWS accounts")

    def __str__(self) -> str:
        return self.name


class AwsPlace(Row):
    """The AWS side of a place: a HyperPod cluster, or where SageMaker endpoints are made."""

    cluster = models.OneToOneField(Cluster, models.CASCADE, related_name="aws", verbose_name=_("place"))
    account = models.ForeignKey(AwsAccount, models.PROTECT, related_name="places", verbose_name=_("AWS account"))
    region = models.CharField(_("region"), max_length=30)

    # How the last look at AWS ended; what it found stays when the next one fails.
    reach = models.CharField(_("connection to AWS"), max_length=12, choices=Reach.choices, default=Reach.UNKNOWN,
                             editable=False)
    reach_since = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    message = models.CharField(_("message"), max_length=500, blank=True, default="", editable=False)
    looked_at = models.DateTimeField(_("looked at"), null=True, editable=False)
    # One worker looks at a place at a time (compare-and-swap).
    look_until = models.DateTimeField(null=True, editable=False)

    # Of a HyperPod cluster, as the last look found it.
    hyperpod_arn = models.CharField(_("HyperPod cluster"), max_length=256, blank=True, default="", editable=False)
    hyperpod_name = models.CharField(_("HyperPod name"), max_length=63, blank=True, default="", editable=False)
    eks_name = models.CharField(_("EKS cluster"), max_length=100, blank=True, default="", editable=False)
    status = models.CharField(_("state in AWS"), max_length=20, blank=True, default="", editable=False)
    status_message = models.CharField(_("what AWS says"), max_length=1000, blank=True, default="", editable=False)
    # [{"InstanceGroupName": …, "InstanceType": …, "CurrentCount": …, "TargetCount": …, "Status": …}, …]
    instance_groups = models.JSONField(_("instance groups"), default=list, blank=True, editable=False)
    # {"tiered_storage": true, "node_recovery": "Automatic", "provisioning": "Continuous", "autoscaling": false}
    features = models.JSONField(_("features"), default=dict, blank=True, editable=False)

    # Of SageMaker endpoints, as operators choose it.
    execution_role = models.CharField(_("execution role"), max_length=200, blank=True, default="",
                                      help_text=_("The role that endpoints run as: it reads the weights and the image."))
    subnets = models.JSONField(_("subnets"), default=list, blank=True)
    security_groups = models.JSONField(_("security groups"), default=list, blank=True)
    network_isolation = models.BooleanField(_("no network for containers"), default=False)
    kms_key = models.CharField(_("KMS key of volumes"), max_length=300, blank=True, default="")
    bucket = models.CharField(_("bucket"), max_length=63, blank=True, default="",
                              help_text=_("For data capture and answers of asynchronous endpoints."))

    class Meta:
        verbose_name = _("AWS side of a place")
        verbose_name_plural = _("AWS sides of places")

    def __str__(self) -> str:
        return f"{self.cluster} · {self.account} · {self.region}"
