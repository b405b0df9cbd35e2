"""Forms of django-allauth with our limits and our way to send mail."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import ResetPasswordForm
from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.totp.forms import ActivateTOTPForm
from django.http import HttpRequest

from portal.tenancy import tries
from portal.tenancy.errors import TooMany
from portal.tenancy.models import User
from portal.tenancy.queue import after_commit

from . import limits

SEND_RESET = "portal.web.tasks.send_password_reset"
NOBODY = 0


class ResetForm(ResetPasswordForm):  # type: ignore[misc]
    """The mail is written and sent by a worker: neither the answer nor its time says whether the address is known."""

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()

    def save(self, request: HttpRequest, **kwargs: Any) -> str:
        mail = str(self.cleaned_data["email"])
        limits.try_reset(request, mail)
        user = User.objects.filter(email__iexact=mail, is_active=True).order_by("pk").values_list("pk", flat=True).first()
        after_commit(SEND_RESET, user or NOBODY)
        return mail


class _Limited:
    """Codes are tried a limited number of times, and a right one opens once."""

    user: Any

    def clean_code(self) -> str:
        noted = limits.try_code(context.request, self.user)
        code: str = super().clean_code()  # type: ignore[misc]  # the form that this is mixed into
        try:
            limits.use_code(self.user, code)
        except TooMany:
            raise get_adapter().validation_error("incorrect_code") from None
        tries.take_back(noted)
        return code


class CodeForm(_Limited, AuthenticateForm):  # type: ignore[misc]
    """The second step of signing in."""


class CodeAgainForm(_Limited, ReauthenticateForm):  # type: ignore[misc]
    """Before a change of the account's own security."""


class ActivateForm(_Limited, ActivateTOTPForm):  # type: ignore[misc]
    """The first code of a new app. As it opens once, the next sign-in waits for the next code."""
