"""The pages of django-allauth that people need, under the names by which it calls them; no others are reachable."""

from __future__ import annotations

from collections.abc import Callable

from allauth.account import views as account
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from django.http import HttpResponse
from django.urls import URLPattern, path, re_path

from . import company, views
from .limits import answered


def _page(address: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
    return path(address, answered(view), name=name)


sign_out = answered(account.logout)
urlpatterns = [
    _page("login/", account.login, "account_login"),
    path("logout/", sign_out, name="account_logout"),
    _page("inactive/", account.account_inactive, "account_inactive"),
    _page("reauthenticate/", account.reauthenticate, "account_reauthenticate"),
    _page("password/", account.password_change, "account_change_password"),
    _page("password/reset/", account.password_reset, "account_reset_password"),
    _page("password/reset/sent/", account.password_reset_done, "account_reset_password_done"),
    # Both parts are told apart by their first hyphen.
    re_path(r"^password/reset/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)/$", answered(account.password_reset_from_key),
            name="account_reset_password_from_key"),
    _page("password/reset/done/", account.password_reset_from_key_done, "account_reset_password_from_key_done"),
    _page("second/", mfa.authenticate, "mfa_authenticate"),
    _page("second/again/", mfa.reauthenticate, "mfa_reauthenticate"),
    _page("app/", totp.activate_totp, "mfa_activate_totp"),
    _page("app/remove/", totp.deactivate_totp, "mfa_deactivate_totp"),
    _page("codes/", codes.view_recovery_codes, "mfa_view_recovery_codes"),
    _page("codes/new/", codes.generate_recovery_codes, "mfa_generate_recovery_codes"),
    _page("passkeys/login/", webauthn.login_webauthn, "mfa_login_webauthn"),
    _page("passkeys/add/", webauthn.add_webauthn, "mfa_add_webauthn"),
    _page("passkeys/again/", webauthn.reauthenticate_webauthn, "mfa_reauthenticate_webauthn"),
    _page("passkeys/<int:pk>/remove/", webauthn.remove_webauthn, "mfa_remove_webauthn"),
    _page("company/", company.begin, "openid_connect_login"),
    _page("<str:provider_id>/callback/", company.callback, "openid_connect_callback"),
    path("company/cancelled/", views.company_cancelled, name="socialaccount_login_cancelled"),
    # Pages of ours, to which allauth leads by its own names.
    path("", views.account, name="mfa_index"),
    path("", views.account, name="mfa_list_webauthn"),
    path("", views.account, name="account_set_password"),
    path("new/", views.no_account, name="account_signup"),
    path("new/company/", views.no_account, name="socialaccount_signup"),
]
