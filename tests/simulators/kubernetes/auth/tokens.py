"""ServiceAccount tokens: signed, bound to an account (and a pod), for a time and an audience."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulators.kubernetes.auth.users import User, account_name, service_account
from tests.simulators.kubernetes.errors import bad_request, cause, invalid, not_found
from tests.simulators.kubernetes.store import Object

if TYPE_CHECKING:
    from tests.simulators.kubernetes.cluster import Cluster

AUDIENCE = "https://kubernetes.default.svc"
GROUP = "authentication.k8s.io"
SHORTEST, LONGEST = 600, 2**32  # seconds


class BadToken(Exception):
    """A bearer token that nobody here has signed, or that is over."""


def _encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Tokens:
    """Signs tokens in the form of a JWT, with a key of this run, and knows them again."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._key = cluster, secrets.token_bytes(32)

    def issue(
        self,
        account: Object,
        *,
        seconds: int = 3600,
        audiences: tuple[str, ...] = (AUDIENCE,),
        pod: Object | None = None,
    ) -> str:
        """A token that ends, with its pod if it has one."""
        now = int(time.time())
        bound = {"pod": pod["metadata"]} if pod is not None else {}
        return self._signed(account, bound, aud=list(audiences), exp=now + seconds, iat=now, nbf=now)

    def issue_endless(self, account: Object, secret: Object) -> str:
        """A token that holds as long as its Secret."""
        return self._signed(account, {"secret": secret["metadata"]}, aud=[AUDIENCE])

    def _signed(self, account: Object, bound: dict[str, Object], **claims: Any) -> str:
        metadata = account["metadata"]
        parts = {"serviceaccount": metadata, **bound}
        about = {kind: {"name": each["name"], "uid": each["uid"]} for kind, each in parts.items()}
        claims |= {
            "iss": AUDIENCE, "jti": str(uuid.uuid4()), "sub": account_name(metadata["namespace"], metadata["name"]),
            "kubernetes.io": {"namespace": metadata["namespace"], **about},
        }  # fmt: skip
        text = ".".join(_encode(msgspec.json.encode(each)) for each in ({"alg": "HS256", "typ": "JWT"}, claims))
        return f"{text}.{_encode(self._signature(text))}"

    def user(self, token: str, audience: str = AUDIENCE) -> User:
        """Whose token it is.

        :raises BadToken: it is none of ours, expired, for somebody else, or its account, pod or Secret is gone.
        """
        claims = self._claims(token)
        if claims.get("exp", math.inf) < time.time() or audience not in claims["aud"]:
            raise BadToken
        about = claims["kubernetes.io"]
        account = self._bound("ServiceAccount", about["namespace"], about["serviceaccount"])
        for key, kind in (("pod", "Pod"), ("secret", "Secret")):
            if key in about:
                self._bound(kind, about["namespace"], about[key])
        metadata = account["metadata"]
        return service_account(metadata["namespace"], metadata["name"], metadata["uid"], f"JTI={claims['jti']}")

    def _claims(self, token: str) -> dict[str, Any]:
        text, _, signature = token.rpartition(".")
        try:
            if not hmac.compare_digest(self._signature(text), _decode(signature)):
                raise BadToken
            found: dict[str, Any] = msgspec.json.decode(_decode(text.partition(".")[2]))
        except (binascii.Error, UnicodeEncodeError, ValueError) as error:
            raise BadToken from error
        return found

    def _bound(self, kind: str, namespace: str, ref: dict[str, str]) -> Object:
        found = self._cluster.get(kind, namespace, ref["name"])
        if found is None or found["metadata"]["uid"] != ref["uid"]:
            raise BadToken
        return found

    def _signature(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode(), hashlib.sha256)


def token_request(tokens: Tokens, cluster: Cluster, namespace: str, name: str, body: Object) -> Object:
    """The answer to a TokenRequest, POST .../serviceaccounts/NAME/token.

    :raises ApiError: no such account or pod, or too short a time.
    """
    spec = body.get("spec") or {}
    if body.get("kind") != "TokenRequest":
        raise bad_request(f'no kind "{body.get("kind", "")}" is registered for this subresource')
    account = cluster.get("ServiceAccount", namespace, name)
    if account is None:
        raise not_found("", "serviceaccounts", name)
    seconds = spec.get("expirationSeconds", 3600)
    if seconds < SHORTEST:
        why = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
        raise invalid(GROUP, "TokenRequest", "", [cause("FieldValueInvalid", why, "spec.expirationSeconds")])
    audiences, bound = tuple(spec.get("audiences") or (AUDIENCE,)), spec.get("boundObjectRef")
    pod = None
    if bound and bound.get("kind") == "Pod":
        pod = cluster.get("Pod", namespace, bound["name"])
        if pod is None:
            raise not_found("", "pods", bound["name"])
    token = tokens.issue(account, seconds=min(seconds, LONGEST), audiences=audiences, pod=pod)
    ends = datetime.fromtimestamp(time.time() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {key: account["metadata"][key] for key in ("name", "namespace", "uid")}
    return {
        "kind": "TokenRequest", "apiVersion": f"{GROUP}/v1",
        "metadata": {**metadata, "creationTimestamp": cluster.now()},
        "spec": {"audiences": list(audiences), "expirationSeconds": seconds, "boundObjectRef": bound},
        "status": {"token": token, "expirationTimestamp": ends},
    }  # fmt: skip
