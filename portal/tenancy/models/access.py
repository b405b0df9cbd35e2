from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..roles import Role, Scope
from ..rows import Row
from .people import User, Workspace

# How the public ids of keys begin that the portal's pages draw for the person in front of them, for some minutes.
PAGE_KEYS = "playpage"
AFTER_PAGE_KEYS = "playpagf"
KEY_SHAPE = re.compile(r"\Ask-([a-z0-9]{16})-([A-Za-z0-9_-]{43})\Z")


class Membership(Row):
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="memberships", verbose_name=_("workspace"))
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships", verbose_name=_("person"))
    role = models.CharField(_("role"), max_length=12, choices=Role.choices, default=Role.VIEWER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "user"], name="membership_once")]
        ordering = ["workspace", "user"]
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")

    def __str__(self) -> str:
        return f"{self.user} · {self.workspace} · {self.get_role_display()}"


def all_scopes() -> list[str]:
    return [Scope.INFERENCE.value]


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        return self.filter(workspace__in=Workspace.objects.visible_to(user))

    def of_pages(self) -> Self:
        """Those that pages drew. A range, since LIKE does not use the index on MariaDB."""
        return self.filter(public_id__gte=PAGE_KEYS, public_id__lt=AFTER_PAGE_KEYS)

    def of_people(self) -> Self:
        """Those that somebody made by name."""
        return self.exclude(public_id__gte=PAGE_KEYS, public_id__lt=AFTER_PAGE_KEYS)

    def usable(self, now: datetime) -> Self:
        """Keys that open a door now: neither revoked nor expired, made by an active, still present member."""
        present = Membership.objects.filter(workspace=models.OuterRef("workspace"), user=models.OuterRef("created_by"))
        return self.filter(
            models.Q(expires_at=None) | models.Q(expires_at__gt=now),
            models.Q(created_by__is_superuser=True) | models.Exists(present),
            revoked_at=None, created_by__is_active=True,
        )


class ApiKey(Row):
    """A key that programs use: a public id and a secret of 256 bits, of which only the digest is kept."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="api_keys", verbose_name=_("workspace"))
    created_by = models.ForeignKey(User, models.CASCADE, related_name="api_keys", verbose_name=_("made by"))
    name = models.CharField(_("name"), max_length=100)
    public_id = models.CharField(_("public ID"), max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    last4 = models.CharField(_("ends in"), max_length=4, editable=False)
    scopes = models.JSONField(_("may"), default=all_scopes)
    model_names = models.JSONField(_("models"), default=list, blank=True,
                              help_text=_("Names of the models that this key may call; empty means all of the workspace."))
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        permissions = [("revoke_apikey", "Can revoke API keys")]

    def __str__(self) -> str:
        return f"{self.name} (…{self.last4})"

    @property
    def state(self) -> str:
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= timezone.now() else "active"

    @property
    def is_of_page(self) -> bool:
        """Whether a page of the portal drew it, for some minutes."""
        return self.public_id.startswith(PAGE_KEYS)

    def draw_secret(self, beginning: str = "") -> str:
        """Give this new row its id, with this beginning, and its digest; returns the whole key, which is kept nowhere."""
        alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
        self.public_id = beginning + "".join(secrets.choice(alphabet) for _ in range(16 - len(beginning)))
        secret = secrets.token_urlsafe(32)
        self.digest, self.last4 = digest_of(secret), secret[-4:]
        return f"sk-{self.public_id}-{secret}"

    def opens_with(self, secret: str) -> bool:
        return hmac.compare_digest(self.digest, digest_of(secret))


def digest_of(secret: str) -> str:
    """SHA-256 in hex: enough for a secret of 256 random bits, and 0.4 µs on the gateway's path."""
    return hashlib.sha256(secret.encode()).hexdigest()


def split_key(text: str) -> tuple[str, str] | None:
    """Public id and secret of a key, or None where the shape is wrong, so that no query is spent on it."""
    match = KEY_SHAPE.match(text)
    return (match[1], match[2]) if match else None
