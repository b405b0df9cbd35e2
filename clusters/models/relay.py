from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.tenancy.fields import EncryptedField, HoldsSecrets
from portal.tenancy.rows import Row

from .place import Cluster


class ClusterAgent(Row):
    """The agent inside a Kubernetes cluster that nobody can reach: it calls out and carries our API calls in."""

    cluster = models.OneToOneField(Cluster, models.CASCADE, related_name="agent", verbose_name=_("place"))
    public_key = models.CharField(max_length=64, editable=False, help_text="Ed25519, base64")
    agent_version = models.CharField(_("agent"), max_length=32, blank=True, default="")
    # Grows with each call that waits for it; the agent asks for what is newer.
    calls_version = models.PositiveBigIntegerField(default=0, editable=False)
    seen_at = models.DateTimeField(_("last call"), null=True, editable=False)

    class Meta:
        verbose_name = _("agent in a cluster")
        verbose_name_plural = _("agents in clusters")

    def __str__(self) -> str:
        return str(self.cluster)


class ApiCall(HoldsSecrets, Row):
    """One request to a cluster's API that its agent makes for us, and the answer. Gone as soon as it was read."""

    agent = models.ForeignKey(ClusterAgent, models.CASCADE, related_name="calls")
    method = models.CharField(max_length=8)
    path = models.TextField()  # with its query
    headers = models.JSONField(default=dict)
    body = EncryptedField()
    expires_at = models.DateTimeField(db_index=True)
    # Handed out once: whether a call that was cut has happened is unknown, and only the portal may repeat it.
    taken_at = models.DateTimeField(null=True)
    status = models.PositiveSmallIntegerField(null=True)
    answer_headers = models.JSONField(default=dict)
    answer = models.BinaryField(default=bytes)

    class Meta:
        indexes = [models.Index(fields=["agent", "taken_at"])]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"
