"""Settings of signing in, which django-allauth reads: passwords, second factors, sessions, the company's OIDC provider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

APPS = ["allauth", "allauth.account", "allauth.mfa", "allauth.usersessions", "allauth.socialaccount"]
MIDDLEWARE = ["allauth.account.middleware.AccountMiddleware", "portal.web.account.guard.AccountGuard"]
NEWCOMERS_ROLES = ("viewer", "developer", "admin")
WHO_MUST = ("", "operators", "everybody")
ISSUER = "Inference Portal"
OIDC = "company"  # the provider's name in addresses


def sign_in_settings(env: environ.Env, secret: Callable[[str], str]) -> dict[str, Any]:
    """Everything as Django's settings have it. docs/settings.md lists the variables."""
    return {**_passwords(), **_second_factors(), **_company(env, secret)}


def one_of(name: str, value: str, choices: tuple[str, ...]) -> str:
    """The value of a setting that has few. Raises ImproperlyConfigured."""
    if value not in choices:
        raise ImproperlyConfigured(f"{name} is one of: {', '.join(choice or '(empty)' for choice in choices)}")
    return value


def _passwords() -> dict[str, Any]:
    return {
        "AUTHENTICATION_BACKENDS": ["allauth.account.auth_backends.AuthenticationBackend"],
        "LOGIN_URL": "account_login",
        "LOGIN_REDIRECT_URL": "web:start",
        "PASSWORD_RESET_TIMEOUT": 3600,
        "ACCOUNT_ADAPTER": "portal.web.account.adapter.AccountAdapter",
        "ACCOUNT_LOGIN_METHODS": {"username", "email"},
        "ACCOUNT_SIGNUP_FIELDS": ["username*", "email*", "password1*"],
        "ACCOUNT_EMAIL_VERIFICATION": "none",
        "ACCOUNT_LOGOUT_REDIRECT_URL": "account_login",
        "ACCOUNT_SESSION_REMEMBER": True,
        "ACCOUNT_FORMS": {"reset_password": "portal.web.account.forms.ResetForm"},
        # allauth counts in the cache, which forgets. Ours are in the database: portal.tenancy.tries.
        "ACCOUNT_RATE_LIMITS": False,
        "MFA_RATE_LIMITS": False,
    }


def _second_factors() -> dict[str, Any]:
    return {
        "MFA_ADAPTER": "portal.web.account.adapter.SecondFactorAdapter",
        "MFA_FORMS": {"authenticate": "portal.web.account.forms.CodeForm",
                      "reauthenticate": "portal.web.account.forms.CodeAgainForm",
                      "activate_totp": "portal.web.account.forms.ActivateForm"},
        "MFA_SUPPORTED_TYPES": ["recovery_codes", "totp", "webauthn"],
        "MFA_PASSKEY_LOGIN_ENABLED": True,
        "MFA_RECOVERY_CODES_SHOW_ONCE": True,
        "MFA_ALLOW_UNVERIFIED_EMAIL": True,
        "MFA_TOTP_ISSUER": ISSUER,
        "MFA_TOTP_TOLERANCE": 1,
    }


def _company(env: environ.Env, secret: Callable[[str], str]) -> dict[str, Any]:
    server = env.str("PORTAL_OIDC_URL", "")
    app = {
        "provider_id": OIDC, "name": env.str("PORTAL_OIDC_NAME", ""),
        "client_id": env.str("PORTAL_OIDC_CLIENT_ID", ""), "secret": secret("PORTAL_OIDC_CLIENT_SECRET"),
        "settings": {"server_url": server, "oauth_pkce_enabled": True,
                     "verified_email": env.bool("PORTAL_OIDC_TRUST_MAIL", False)},
    }
    return {
        "SOCIALACCOUNT_ADAPTER": "portal.web.account.company.CompanyAdapter",
        "SOCIALACCOUNT_PROVIDERS": {"openid_connect": {"APPS": [app] if server else []}},
        "SOCIALACCOUNT_EMAIL_AUTHENTICATION": True,
        "SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT": True,
        "SOCIALACCOUNT_EMAIL_VERIFICATION": "none",
        "SOCIALACCOUNT_REQUESTS_TIMEOUT": 5,
        "SOCIALACCOUNT_STORE_TOKENS": False,
    }
