"""Signing in with the company's account: any OpenID Connect provider, by code with PKCE, state and nonce."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import jwt
import requests
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, _build_apps_from_settings, get_adapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from portal.sign_in import OIDC
from portal.tenancy import invitations
from portal.tenancy.actor import PORTAL
from portal.tenancy.models import User, Workspace
from portal.tenancy.services import set_member

from ..shell import plain_page

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"]
CLOCKS_DIFFER = 30  # seconds
log = logging.getLogger(__name__)


def nonce_of(code_verifier: str) -> str:
    """The nonce is drawn from the PKCE verifier, which only this browser's session knows until the code is redeemed."""
    return hashlib.sha256(f"nonce {code_verifier}".encode()).hexdigest()


class Door(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """Reads the provider's answer: the ID token's signature, issuer, audience, age and nonce are all checked."""

    nonce = ""

    def __init__(self, request: HttpRequest, provider_id: str = OIDC) -> None:
        super().__init__(request, provider_id)

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        """At the portal's own address, whatever the request said that it was called by."""
        return f"{settings.PORTAL_URL}{reverse('openid_connect_callback', kwargs={'provider_id': OIDC})}"

    def get_access_token_data(self, request: HttpRequest, app: Any, client: Any, pkce_code_verifier: str | None = None) -> Any:
        if not pkce_code_verifier:
            raise OAuth2Error("no verifier")
        self.nonce = nonce_of(pkce_code_verifier)
        return super().get_access_token_data(request, app, client, pkce_code_verifier=pkce_code_verifier)

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> SocialLogin:
        if not kwargs["response"].get("id_token"):
            raise OAuth2Error("no ID token")
        login: SocialLogin = super().complete_login(request, app, token, **kwargs)
        told = login.account.extra_data
        if told.get("userinfo", told["id_token"]).get("sub") != told["id_token"].get("sub"):
            raise OAuth2Error("user info about somebody else")
        return login

    def _decode_id_token(self, app: Any, id_token: str) -> dict[str, Any]:
        try:
            data: dict[str, Any] = jwt.decode(
                id_token, self._key_of(id_token), algorithms=ALGORITHMS, issuer=self.openid_config["issuer"],
                audience=app.client_id, leeway=CLOCKS_DIFFER, options={"require": ["exp", "iat", "sub", "nonce"]})
        except jwt.PyJWTError as error:
            raise OAuth2Error(f"invalid ID token ({type(error).__name__})") from error
        if data.get("nonce") != self.nonce:
            raise OAuth2Error("another nonce")
        return data

    def _key_of(self, id_token: str) -> jwt.PyJWK:
        """The provider's key that the token names; a provider with one key need not name it. Raises PyJWTError."""
        with get_adapter().get_requests_session() as session:
            answer = session.get(self.openid_config["jwks_uri"])
            answer.raise_for_status()
        kid = jwt.get_unverified_header(id_token).get("kid")
        keys = [key for key in jwt.PyJWKSet.from_dict(answer.json()).keys if kid in (None, key.key_id)]
        if len(keys) != 1:
            raise jwt.InvalidTokenError("no such key")
        return keys[0]


class CompanyAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Who may come in with the company's account, and what newcomers get."""

    def list_apps(self, request: HttpRequest | None, provider: str | None = None, client_id: str | None = None) -> list[Any]:
        """From the settings only: no query, and no provider that somebody wrote into a table."""
        found = _build_apps_from_settings(provider=provider, client_id=client_id)
        return [app for apps in found.values() for app in apps]

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        mail = _proven_mail(sociallogin)
        allowed = settings.PORTAL_OIDC_DOMAINS
        return bool(mail) and ("*" in allowed or mail.rpartition("@")[2] in allowed or invitations.is_invited(mail))

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> User:
        user: User = super().save_user(request, sociallogin, form)
        workspace = Workspace.objects.filter(slug=settings.PORTAL_OIDC_WORKSPACE).first()
        if workspace is not None:
            set_member(PORTAL, workspace, user, settings.PORTAL_OIDC_ROLE)
        return user

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        """Names have no “@”: people sign in by name or by mail, and one person's name must not be another's mail."""
        name = str(data.get("username") or "").partition("@")[0]
        user: User = super().populate_user(request, sociallogin, {**data, "username": name})
        return user


def _is_set_up() -> bool:
    return bool(get_adapter().list_apps(None))


def _proven_mail(login: SocialLogin) -> str:
    """The address that the provider has checked, or nothing."""
    return next((one.email.lower() for one in login.email_addresses if one.verified), "")


@never_cache
@require_POST
def begin(request: HttpRequest) -> HttpResponse:
    """To the provider. By a page of its own, because a form of ours may lead to no other site."""
    if not _is_set_up():
        raise Http404
    # Nothing but this of what was sent: allauth would take scopes and processes from it.
    request.GET, request.POST = QueryDict(), QueryDict(urlencode({"next": request.POST.get("next", "")}))
    try:
        answer: HttpResponse = OAuth2LoginView.adapter_view(Door(request))(request)
    except (requests.RequestException, OAuth2Error, PermissionDenied, ValueError, KeyError) as error:
        log.warning("the company's sign-in does not answer", extra={"error": type(error).__name__})
        return plain_page(request, "web/account/company_away.html", {}, status=503)
    if not isinstance(answer, HttpResponseRedirect):
        return answer
    return plain_page(request, "web/account/leaving.html", {"to": answer.url})


@never_cache
@require_GET
def callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Back from the provider, with a code that is redeemed between the two servers."""
    if provider_id != OIDC or not _is_set_up():
        raise Http404
    try:
        answer: HttpResponse = OAuth2CallbackView.adapter_view(Door(request))(request)
    except (ValueError, KeyError) as error:
        log.warning("the company's sign-in answers in a wrong shape", extra={"error": type(error).__name__})
        return plain_page(request, "web/account/company_away.html", {}, status=503)
    return answer
