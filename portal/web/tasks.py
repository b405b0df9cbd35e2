"""What pages leave to a worker."""

from __future__ import annotations

import logging
import smtplib
from urllib.parse import urlsplit

from allauth.account import app_settings
from allauth.account.utils import user_pk_to_url_str
from celery import shared_task
from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from portal.tenancy.models import User
from portal.tenancy.rows import new_uid

log = logging.getLogger(__name__)


@shared_task(name="portal.web.tasks.send_password_reset")
def send_password_reset(user_id: int) -> bool:
    """Mail the link to choose a new password; whether it went out.

    Who signs in with the company's account only gets none: the company decides there. The token is made here, so that
    it lies in no queue.
    """
    user = User.objects.filter(pk=user_id, is_active=True).exclude(email="").first()
    if user is None or not user.has_usable_password() or not settings.PORTAL_MAIL_URL:
        return False
    try:
        _reset_mail(user).send()
    except (smtplib.SMTPException, OSError) as error:
        log.warning("a password link could not be mailed", extra={"error": type(error).__name__})
        return False
    return True


def _reset_mail(user: User) -> EmailMessage:
    key = app_settings.PASSWORD_RESET_TOKEN_GENERATOR().make_token(user)
    path = reverse("account_reset_password_from_key", kwargs={"uidb36": user_pk_to_url_str(user), "key": key})
    host = urlsplit(settings.PORTAL_URL).hostname
    with translation.override(user.language or settings.LANGUAGE_CODE):
        lines = [
            _("Somebody asked for a new password for %(name)s at %(portal)s. Open this link to choose one:") % {
                "name": user.get_username(), "portal": settings.PORTAL_URL}, "", settings.PORTAL_URL + path, "",
            _("It works once, for an hour. If it was not you, ignore this mail: nothing has changed.")]
        return EmailMessage(
            _("A new password for the Inference Portal"), "\n".join(lines), to=[user.email],
            headers={"Message-ID": f"<{new_uid()}@{host}>", "Auto-Submitted": "auto-generated"})
