"""What django-allauth asks about accounts and second factors."""

from __future__ import annotations

from typing import Any

import qrcode
from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.contrib import messages
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.sign_in import ISSUER
from portal.tenancy import callers
from portal.tenancy.fields import seal, unseal

from . import limits

MISMATCH = gettext_lazy("Name or address and password do not match.")
TOLD = {
    "account/messages/password_changed.txt": gettext_lazy("Your password is changed. All other browsers are signed out."),
    "mfa/messages/totp_activated.txt": gettext_lazy("Signing in now asks for a code of your authenticator app."),
    "mfa/messages/totp_deactivated.txt": gettext_lazy("Signing in does not ask for a code of an app any more."),
    "mfa/messages/webauthn_added.txt": gettext_lazy("The passkey is added."),
    "mfa/messages/webauthn_removed.txt": gettext_lazy("The passkey is removed."),
}


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Nobody signs up by themselves; passwords are tried a limited number of times."""

    error_messages = {
        **DefaultAccountAdapter.error_messages, "username_password_mismatch": MISMATCH, "email_password_mismatch": MISMATCH,
        "enter_current_password": gettext_lazy("This is not your password until now."),
        "incorrect_password": gettext_lazy("This is not your password."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Raises TooMany."""
        self._noted = limits.try_password(request, _typed(credentials))

    def authenticate(self, request: HttpRequest, **credentials: Any) -> AbstractBaseUser | None:
        user: AbstractBaseUser | None = super().authenticate(request, **credentials)
        if user is not None:
            limits.right_password(request, _typed(credentials), self._noted)
        return user

    def _rollback_login_failed_rl_usage(self) -> None:
        """Ours is taken back in `authenticate`."""

    def _delete_login_attempts_cached_email(self, request: HttpRequest, **credentials: Any) -> None:
        """Nothing is kept in the cache."""

    def get_client_ip(self, request: HttpRequest) -> str:
        """The caller's address; the proxy's word counts where the operator says that there is one."""
        return callers.address_of(request)

    def is_safe_url(self, url: str) -> bool:
        request = self.request
        return url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())

    def add_message(self, request: HttpRequest, level: int, message_template: str | None = None,  # noqa: PLR0917 - allauth's
                    message_context: dict[str, Any] | None = None, extra_tags: str = "", message: str | None = None) -> None:
        """Only what the person did not see happen, in our words."""
        text = message or TOLD.get(message_template or "")
        if text:
            messages.add_message(request, level, str(text), extra_tags=extra_tags)


def _typed(credentials: dict[str, Any]) -> str:
    return str(credentials.get("username") or credentials.get("email") or "")


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Secrets of apps and recovery codes are encrypted with the portal's keys."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": gettext_lazy("This code is not valid, or it was used before. Type the next one."),
    }
    BOUND_TO = "mfa_authenticator"

    def encrypt(self, text: str) -> str:
        return seal(text, self.BOUND_TO)

    def decrypt(self, encrypted_text: str) -> str:
        return unseal(encrypted_text, self.BOUND_TO)

    def _get_site_name(self) -> str:
        return ISSUER

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Any) -> str:  # noqa: A002 - allauth's name
        return _("Passkey")

    def build_totp_svg(self, url: str) -> str:
        """One path in our own frame: the policy allows neither styles nor pictures in the address of an image."""
        code = qrcode.QRCode(border=4)
        code.add_data(url)
        rows = code.get_matrix()
        path = "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark)
        size = len(rows)
        return (f'<svg class="qr" viewBox="0 0 {size} {size}" role="img" aria-label="{_("QR code")}">'
                f'<rect width="{size}" height="{size}" fill="#fff"/><path d="{path}" fill="#000"/></svg>')
