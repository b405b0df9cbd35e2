from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from portal.tenancy.fields import EncryptedField, HoldsSecrets
from portal.tenancy.models import Workspace
from portal.tenancy.rows import Row

from ..states import Reach, Through
from .place import Cluster


class KubernetesAccess(HoldsSecrets, Row):
    """How the portal reaches one Kubernetes API, and what it found there.

    The credential is a token or a client certificate, bound to `server`: a changed address empties it.
    """

    cluster = models.OneToOneField(Cluster, models.CASCADE, related_name="access", verbose_name=_("place"))
    through = models.CharField(_("reached through"), max_length=6, choices=Through.choices, default=Through.DIRECT)
    server = models.CharField(_("API server"), max_length=300, blank=True, default="",
                              help_text=_("Such as https://10.0.0.1:6443."))
    ca = models.TextField(_("CA certificate"), blank=True, default="", help_text=_("PEM; empty trusts the public CAs."))
    client_certificate = models.TextField(_("client certificate"), blank=True, default="", help_text=_("PEM."))
    token = EncryptedField(host_field="server")
    client_key = EncryptedField(host_field="server")

    # What operators choose.
    gateway = models.CharField(_("gateway"), max_length=130, blank=True, default="",
                               help_text=_("Namespace/name of the Gateway that calls enter by; empty uses the API server."))
    imports_to = models.ForeignKey(
        Workspace, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("VLLMClusters belong to"),
        help_text=_("The workspace that owns endpoints made from VLLMCluster objects; empty leaves those objects alone."))
    cors_origins = models.JSONField(_("CORS origins"), default=list, blank=True)
    prometheus = models.CharField(_("Prometheus"), max_length=300, blank=True, default="",
                                  help_text=_("Address inside the cluster, for autoscaling by the engine's metrics."))

    # What the last looks found.
    reach = models.CharField(_("connection"), max_length=12, choices=Reach.choices, default=Reach.UNKNOWN, editable=False)
    reach_since = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    message = models.CharField(_("message"), max_length=500, blank=True, default="", editable=False)
    version = models.CharField(_("Kubernetes version"), max_length=40, blank=True, default="", editable=False)
    # {"keda": {"found": true, "version": "v1alpha1"}, ...}: CRDs and controllers by short name.
    capabilities = models.JSONField(_("found there"), default=dict, blank=True, editable=False)
    # [{"verb": "patch", "resource": "statefulsets.apps", "namespace": ""}, ...]: rights that the credential lacks.
    missing_rights = models.JSONField(_("missing rights"), default=list, blank=True, editable=False)
    checked_at = models.DateTimeField(_("tested"), null=True, editable=False)
    inventory_at = models.DateTimeField(_("inventory"), null=True, editable=False)
    # One worker looks at a cluster at a time; a slow one holds nobody up (compare-and-swap).
    look_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("Kubernetes access")
        verbose_name_plural = _("Kubernetes accesses")

    def __str__(self) -> str:
        return f"{self.cluster} · {self.server or self.get_through_display()}"

    def has(self, capability: str) -> bool:
        """Whether a CRD or controller was found there: keda, gateway, lws, dataset, prometheus, vllmcluster, …"""
        return bool(self.capabilities.get(capability, {}).get("found"))
