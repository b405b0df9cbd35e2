"""The provider of company accounts, where django-allauth looks for one in each app."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider

from .account.company import Door, nonce_of


class CompanyProvider(OpenIDConnectProvider):  # type: ignore[misc]
    """Sends a nonce beside state and PKCE, so that an ID token from another sign-in is worth nothing."""

    oauth2_adapter_class = Door

    def get_pkce_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_pkce_params()
        return {**params, "nonce": nonce_of(params["code_verifier"])}


provider_classes = [CompanyProvider]
