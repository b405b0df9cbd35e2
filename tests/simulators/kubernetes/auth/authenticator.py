"""Who sends a request: by bearer token, by client certificate, or nobody that is known; and in whose name."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from tests.simulators.kubernetes.api.request import Request
from tests.simulators.kubernetes.auth.attributes import Attributes, attributes, forbidden
from tests.simulators.kubernetes.auth.rbac import Authorizer
from tests.simulators.kubernetes.auth.tokens import BadToken, Tokens
from tests.simulators.kubernetes.auth.users import ANONYMOUS, CREDENTIAL, EVERYONE, User
from tests.simulators.kubernetes.errors import ApiError

ACCOUNT = "system:serviceaccount:"


class Authenticator:
    def __init__(self, tokens: Tokens, authorizer: Authorizer, static: dict[str, User] | None = None) -> None:
        self._tokens, self._authorizer = tokens, authorizer
        self.static = dict(static or {})
        """Tokens that never end, by their text: the administrator's."""
        self.webhooks: list[Callable[[str], User | None]] = []
        """Asked for each token that is neither static nor a ServiceAccount's: EKS takes tokens of AWS this way."""

    def who(self, request: Request) -> User:
        """The user in whose name the request is made.

        :raises ApiError: 401 for a token that is not good; 403 for who may not speak for another.
        """
        user = self._sender(request)
        return self._impersonated(user, request) if "impersonate-user" in request.headers else user

    def by_token(self, token: str) -> User:
        """:raises BadToken: nobody's."""
        for known, user in self.static.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                return user
        return self._webhook_user(token) or self._tokens.user(token)

    def _webhook_user(self, token: str) -> User | None:
        return next((user for user in (ask(token) for ask in self.webhooks) if user is not None), None)

    def _sender(self, request: Request) -> User:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            try:
                return self.by_token(token.strip())
            except BadToken:
                raise ApiError(401, "Unauthorized", "Unauthorized") from None
        return certificate_user(request) or ANONYMOUS

    def _impersonated(self, user: User, request: Request) -> User:
        name, groups = request.headers["impersonate-user"], request.all_headers("impersonate-group")
        wanted = [_impersonate("users", "", name)]
        if name.startswith(ACCOUNT):
            namespace, _, account = name.removeprefix(ACCOUNT).partition(":")
            wanted = [_impersonate("serviceaccounts", namespace, account)]
        wanted += [_impersonate("groups", "", group) for group in groups]
        if not all(self._authorizer.allowed(user, each).allowed for each in wanted):
            asked = attributes(request)
            verb = f"impersonate-on:user-info:{asked.verb}"
            shown = {field: getattr(asked, field) for field in Attributes.__slots__ if field != "verb"}
            raise forbidden(user, Attributes(verb, **shown))
        return User(name, _groups(name, groups))


def _impersonate(resource: str, namespace: str, name: str) -> Attributes:
    group = "" if resource != "uids" else "authentication.k8s.io"
    return Attributes("impersonate", group, resource, "", namespace, name)


def _groups(name: str, groups: list[str]) -> tuple[str, ...]:
    if name.startswith(ACCOUNT) and not groups:
        namespace = name.removeprefix(ACCOUNT).partition(":")[0]
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    return tuple(dict.fromkeys([*groups, EVERYONE]))


def certificate_user(request: Request) -> User | None:
    """The user of the client's certificate, which TLS has checked: its common name, with its organizations as groups."""
    ssl_object = request.transport.get_extra_info("ssl_object") if request.transport is not None else None
    shown: dict[str, Any] | None = request.certificate or (ssl_object.getpeercert() if ssl_object else None)
    if not shown:
        return None
    pairs = [pair for relative in shown.get("subject", ()) for pair in relative]
    names = [value for key, value in pairs if key == "commonName"]
    if not names:
        return None
    groups = [value for key, value in pairs if key == "organizationName"]
    digest = hashlib.sha256(ssl_object.getpeercert(binary_form=True)).hexdigest() if ssl_object else ""
    return User(names[0], (*groups, EVERYONE), extra={CREDENTIAL: [f"X509SHA256={digest}"]})
