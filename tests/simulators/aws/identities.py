"""Who is known: keys of users, roles that may be assumed, temporary credentials, EKS tokens."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import string
import threading
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.simulators.aws import signatures
from tests.simulators.aws.clock import Clock
from tests.simulators.aws.errors import AwsFault, Unauthenticated
from tests.simulators.aws.messages import Identity, Request

ACCOUNT = "123456789012"  # moto's own default, so that both sides agree
TOKEN_PREFIX, TOKEN_LIFETIME = "k8s-aws-v1.", 15 * 60.0  # seconds: facts.md 1.14, from memory
STS_HOST = re.compile(r"sts(\.[a-z]{2}(-[a-z]+)+-\d)?\.amazonaws\.com(\.cn)?")
LETTERS = string.ascii_uppercase + string.digits


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key, as an administrator hands it over."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    identity: Identity
    session_token: str = field(default="", repr=False)
    expires_at: float | None = None


@dataclass(slots=True)
class Role:
    arn: str
    external_id: str = ""
    trusted: frozenset[str] = frozenset()  # ARNs; empty trusts everybody known
    longest: int = 3600  # seconds


class Identities:
    """`clock` is of credentials only: let an hour pass for them without one passing for endpoints."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._lock = threading.Lock()
        self._keys: dict[str, Keys] = {}
        self.sts_hosts: set[str] = set()
        """Where STS is besides its own names: this simulator's address."""
        self.roles: dict[str, Role] = {}
        self._shown_tokens: set[str] = set()
        self._old_tokens: set[str] = set()
        self.reset()

    def reset(self) -> None:
        """One user with keys, in the default account; no roles."""
        self._keys.clear()
        self.roles.clear()
        self.clock.reset()
        self._shown_tokens.clear()
        self._old_tokens.clear()
        self.default = self.add_user("portal", access_key_id="AKIASIMULATED0000001")

    # --- what an administrator does

    def add_user(self, name: str, account: str = ACCOUNT, access_key_id: str = "", partition: str = "aws") -> Keys:
        identity = Identity(f"arn:{partition}:iam::{account}:user/{name}", account, f"AIDA{name.upper():A<17}"[:21])
        return self._add(identity, access_key_id or f"AKIA{_letters(16)}")

    def add_role(self, name: str, account: str = ACCOUNT, *, external_id: str = "", trusted: frozenset[str] = frozenset(),
                 longest: int = 3600, partition: str = "aws") -> Role:  # fmt: skip
        role = Role(f"arn:{partition}:iam::{account}:role/{name}", external_id, trusted, longest)
        self.roles[role.arn] = role
        return role

    def remove(self, access_key_id: str) -> None:
        """The key is deleted, or was never one."""
        self._keys.pop(access_key_id, None)

    def expire_sessions(self) -> None:
        """Every temporary credential ends now."""
        with self._lock:
            for key, keys in list(self._keys.items()):
                if keys.expires_at is not None:
                    self._keys[key] = Keys(key, keys.secret_access_key, keys.identity, keys.session_token, 0.0)

    def expire_tokens(self) -> None:
        """Every EKS token that was shown until now is too old, as after 15 minutes."""
        self._old_tokens |= self._shown_tokens

    # --- what AWS does

    def assume(self, caller: Identity, role_arn: str, session: str, external_id: str, seconds: int) -> Keys:
        """
        :raises AwsFault: AccessDenied for an unknown role, a wrong external id or a caller who isn't trusted: AWS doesn't
            say which; ValidationError for a longer time than the role allows.
        """
        role = self.roles.get(role_arn)
        is_trusted = role is not None and (not role.trusted or caller.arn in role.trusted)
        if role is None or not is_trusted or (role.external_id and role.external_id != external_id):
            raise AwsFault("AccessDenied", f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: "
                                           f"{role_arn}", 403)  # fmt: skip
        if seconds > role.longest:
            raise AwsFault("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
        return self.session_of(role_arn, session, seconds)

    def session_of(self, role_arn: str, session: str, seconds: int) -> Keys:
        """Temporary keys of a role, whoever may have them."""
        partition, account, name = role_arn.split(":")[1], role_arn.split(":")[4], role_arn.rpartition("/")[2]
        identity = Identity(f"arn:{partition}:sts::{account}:assumed-role/{name}/{session}", account,
                            f"AROA{name.upper():A<17}"[:21] + f":{session}")  # fmt: skip
        return self._add(identity, f"ASIA{_letters(16)}", secrets.token_urlsafe(96), self.clock.now() + seconds)

    def verify(self, request: Request, scope: signatures.Scope | None, lifetime: float | None = None) -> Identity:
        """
        :raises Unauthenticated: not signed, by nobody known, wrongly, or with credentials that are over.
        """
        if scope is None:
            raise Unauthenticated("unsigned")
        keys = self._keys.get(scope.access_key_id)
        if keys is None or keys.session_token != scope.token:
            raise Unauthenticated("unknown key")
        signatures.check(request, scope, keys.secret_access_key, self.clock.now(), lifetime)
        if keys.expires_at is not None and keys.expires_at <= self.clock.now():
            raise Unauthenticated("expired")
        return keys.identity

    def identity_of_token(self, token: str, eks_name: str) -> Identity | None:
        """Who made an EKS token for this cluster; None for one that isn't good, as the cluster's webhook finds it.

        A token is a presigned GetCallerIdentity with the cluster's name in a signed header:
        https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster
        """
        self._shown_tokens.add(token)
        if not token.startswith(TOKEN_PREFIX) or token in self._old_tokens:
            return None
        text = token.removeprefix(TOKEN_PREFIX)
        try:
            url = urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
        except (binascii.Error, ValueError):
            return None
        request = Request("GET", url.path or "/", url.query, {"host": url.netloc, "x-k8s-aws-id": eks_name})
        if "=" in text or not self._is_caller_identity(request):
            return None
        try:
            scope = signatures.read_scope(request)
            if scope is None or scope.service != "sts" or "x-k8s-aws-id" not in scope.signed_headers:
                return None
            return self.verify(request, scope, TOKEN_LIFETIME)
        except Unauthenticated:
            return None

    def _is_caller_identity(self, request: Request) -> bool:
        """Whether the cluster would dare to ask this address: STS's own, for this one thing, nothing said twice."""
        asked, host = dict(request.pairs), request.headers["host"]
        return (asked.get("Action") == "GetCallerIdentity" and len(asked) == len(request.pairs)
                and (host in self.sts_hosts or STS_HOST.fullmatch(host) is not None))  # fmt: skip

    def _add(self, identity: Identity, access_key_id: str, token: str = "", expires_at: float | None = None) -> Keys:
        identity.access_key_id = access_key_id
        keys = Keys(access_key_id, secrets.token_urlsafe(30), identity, token, expires_at)
        with self._lock:
            self._keys[access_key_id] = keys
        return keys


def _letters(count: int) -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(count))
