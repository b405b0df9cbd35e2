"""Bearers for EKS: an STS request that is signed but never sent by us; the API server sends it and learns who we are.

As AWS's own tools build it (facts.md 1.14): the cluster's name is a signed header, so the token is good for no other.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from . import aws_sdk
from .aws_places import suffix_of

KEPT_SECONDS = 600.0  # of the about 15 minutes that the server accepts one
SIGNED_SECONDS = 60


@dataclass(frozen=True)
class Token:
    text: str = field(repr=False)
    renew_at: datetime


class Tokens:
    """Those of one account and region, by the cluster's name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Token]] = {}

    def of(self, eks_name: str, region: str, credentials: Callable[..., Any], *, fresh: bool = False) -> Token:
        """The kept one, or a new one where it is ten minutes old or `fresh` is asked for."""
        with self._lock:  # one thread makes it, the others take it
            until, token = self._kept.get(eks_name, (0.0, None))
            if token is None or fresh or self._clock() >= until:
                renew_at = timezone.now() + timedelta(seconds=KEPT_SECONDS)
                token = Token(make_token(credentials(fresh=fresh), eks_name, region), renew_at)
                self._kept[eks_name] = self._clock() + KEPT_SECONDS, token
            return token


def make_token(credentials: Any, eks_name: str, region: str) -> str:
    """The bearer that says: whoever could sign this may come in. `credentials` are an `aws.Credentials`."""
    sdk = aws_sdk.sdk()
    keys = sdk.credentials.Credentials(credentials.access_key_id, credentials.secret_access_key,
                                       credentials.session_token or None)
    request = sdk.awsrequest.AWSRequest(
        "GET", f"https://sts.{region}.{suffix_of(region)}/?Action=GetCallerIdentity&Version=2011-06-15",
        headers={"x-k8s-aws-id": eks_name})
    sdk.auth.SigV4QueryAuth(keys, "sts", region, expires=SIGNED_SECONDS).add_auth(request)
    return "k8s-aws-v1." + base64.urlsafe_b64encode(request.prepare().url.encode()).decode().rstrip("=")
