"""A user as authentication found it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CREDENTIAL = "authentication.kubernetes.io/credential-id"
EVERYONE = "system:authenticated"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict)

    def info(self) -> dict[str, Any]:
        """As a UserInfo; empty fields are left out."""
        found = {"username": self.name, "uid": self.uid, "groups": list(self.groups), "extra": self.extra}
        return {key: value for key, value in found.items() if value}


ADMIN = User("admin", ("system:masters", EVERYONE))
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


def service_account(namespace: str, name: str, uid: str, credential: str) -> User:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", EVERYONE)
    return User(account_name(namespace, name), groups, uid, {CREDENTIAL: [credential]})


def account_name(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"
