"""Tokens that do not end: a Secret of type kubernetes.io/service-account-token is filled in for the account it names.

https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from tests.simulators.kubernetes.auth.tokens import Tokens
from tests.simulators.kubernetes.store import Object

if TYPE_CHECKING:
    from tests.simulators.kubernetes.cluster import Cluster

TYPE = "kubernetes.io/service-account-token"
ACCOUNT = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"


class TokenSecrets:
    def __init__(self, cluster: Cluster, tokens: Tokens, ca_pem: str) -> None:
        self._cluster, self._tokens, self._ca_pem = cluster, tokens, ca_pem
        cluster.on_change(["Secret"], self._changed)

    def _changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        if event != "DELETED" and obj.get("type") == TYPE and "token" not in (obj.get("data") or {}):
            self._cluster.later(0, lambda: self._fill(obj["metadata"]["namespace"], obj["metadata"]["name"]))

    def _fill(self, namespace: str, name: str) -> None:
        """Fills the Secret, or removes it when its account is not there."""
        secret = self._cluster.get("Secret", namespace, name)
        if secret is None:
            return
        annotations = secret["metadata"].get("annotations") or {}
        account = self._cluster.get("ServiceAccount", namespace, annotations.get(ACCOUNT, ""))
        if account is None:
            self._cluster.remove("Secret", namespace, name)
            return
        plain = {
            "ca.crt": self._ca_pem, "namespace": namespace, "token": self._tokens.issue_endless(account, secret),
        }  # fmt: skip
        data = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        metadata = {**secret["metadata"], "annotations": {**annotations, ACCOUNT_UID: account["metadata"]["uid"]}}
        self._cluster.update("Secret", {**secret, "metadata": metadata, "data": {**(secret.get("data") or {}), **data}})
