"""Second factors go on working when the portal's keys are turned over."""

from __future__ import annotations

import base64
import os

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.mfa.utils import decrypt
from django.core.management import call_command
from pytest_django import Settings

from portal.tenancy.models import Instance
from tests.cast import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def new_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def test_the_old_key_may_go_and_app_and_codes_stay(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    settings.PORTAL_FIELD_KEYS = [new_key()]
    Instance.check_keys()
    user, secret = make_user("dora"), generate_totp_secret()
    TOTP.activate(user, secret)
    codes = RecoveryCodes.activate(user)
    unused = codes.get_unused_codes()
    settings.PORTAL_FIELD_KEYS = [new_key(), *settings.PORTAL_FIELD_KEYS]
    call_command("rewrap_secrets")
    settings.PORTAL_FIELD_KEYS = settings.PORTAL_FIELD_KEYS[:1]
    app = Authenticator.objects.get(user=user, type=Authenticator.Type.TOTP)
    assert decrypt(app.data["secret"]) == secret
    kept = Authenticator.objects.get(user=user, type=Authenticator.Type.RECOVERY_CODES)
    assert RecoveryCodes(kept).get_unused_codes() == unused
    capsys.readouterr()
    call_command("rewrap_secrets")
    assert capsys.readouterr().out.startswith("0 ")
