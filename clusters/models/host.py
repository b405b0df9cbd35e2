from __future__ import annotations

import hashlib
import secrets

from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.tenancy.models import User
from portal.tenancy.rows import Row

from ..states import HostState
from .place import Cluster, Node


class Host(Row):
    """The agent on a node: its key, its lease and when it last called."""

    node = models.OneToOneField(Node, models.CASCADE, related_name="host", verbose_name=_("node"))
    state = models.CharField(_("state"), max_length=10, choices=HostState.choices, default=HostState.READY)
    public_key = models.CharField(max_length=64, editable=False, help_text="Ed25519, base64")
    address = models.CharField(_("address"), max_length=255, help_text=_("Where the gateway reaches its engines."))
    is_local = models.BooleanField(_("this machine"), default=False)
    tunnel = models.BooleanField(_("calls in"), default=False, help_text=_(
        "The gateway can't reach it, so its agent opens the connections."))
    # What a person wished; `state` shows it while the host is not lost.
    draining = models.BooleanField(_("takes nothing new"), default=False, editable=False)
    agent_version = models.CharField(_("agent"), max_length=32, blank=True, default="")
    releases = models.JSONField(_("engines installed"), default=list, blank=True)
    lease_epoch = models.PositiveBigIntegerField(default=1, editable=False)
    lease_until = models.DateTimeField(_("lease until"), null=True, editable=False)
    # Grows whenever what should run here changes; the agent waits for the next number.
    wanted_version = models.PositiveBigIntegerField(default=0, editable=False)
    seen_at = models.DateTimeField(_("last call"), null=True, editable=False)
    conditions = models.JSONField(_("conditions"), default=list, blank=True, editable=False)

    class Meta:
        ordering = ["node__name"]
        verbose_name = _("host")
        verbose_name_plural = _("hosts")
        permissions = [("drain_host", "Can drain hosts"), ("enrol_host", "Can enrol hosts")]

    def __str__(self) -> str:
        return self.node.name

    def address_of(self, port: int) -> str:
        """Where the gateway reaches the engine at `port` of this host."""
        if self.tunnel:
            return f"tunnel://{self.uid.hex}:{port}"
        name = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{'127.0.0.1' if self.is_local else name}:{port}"

    @property
    def engines_are_on_loopback(self) -> bool:
        """Whether nobody else reaches its engines, so that they need no key."""
        return self.is_local or self.tunnel


class EnrolmentToken(Row):
    """Lets one agent enrol once, in one place, within its short life. Only the digest is kept."""

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="enrolment_tokens", verbose_name=_("place"))
    address = models.CharField(_("address"), max_length=64, blank=True, default="", help_text=_(
        "Where the gateway reaches the host, if that isn't the address from which its agent calls."))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("made by"))
    expires_at = models.DateTimeField(_("expires"))
    used_at = models.DateTimeField(_("used"), null=True, editable=False)
    host = models.ForeignKey(Host, models.SET_NULL, null=True, editable=False, related_name="+", verbose_name=_("host"))

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("enrolment token")
        verbose_name_plural = _("enrolment tokens")

    def __str__(self) -> str:
        return f"{self.cluster} · {self.created_at:%Y-%m-%d %H:%M}"

    @staticmethod
    def digest_of(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    def draw(self) -> str:
        """Give this new row its digest; returns the token's text, which is kept nowhere."""
        text = f"agent-{secrets.token_urlsafe(32)}"
        self.digest = self.digest_of(text)
        return text


class AgentNonce(models.Model):
    """A nonce that an agent has used; kept a little longer than its signature is valid."""

    caller = models.UUIDField()  # the uid of a host or of an agent in a cluster
    nonce = models.CharField(max_length=32)
    at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["caller", "nonce"], name="nonce_of_caller_once")]

    def __str__(self) -> str:
        return self.nonce
