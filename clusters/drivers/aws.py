"""The one door to AWS: an account and a region, asked through botocore, with every error an `AwsError`.

Nothing here is process-wide: each account has a session of its own that sees neither the environment nor ~/.aws,
unless the account signs in as the machine. botocore's own retries are off, because they know no limit of the whole
time (three times 15 s of silence is longer than a task may take); what standard mode repeats is repeated here.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from clusters.models import AwsAccount
from clusters.states import SignIn
from portal.tenancy.faults import outside_call
from portal.tenancy.fields import SecretUnreadable
from portal.tenancy.text import clean

from . import aws_sdk
from .aws_eks import Tokens
from .aws_errors import AwsError, AwsProblem, action_of
from .aws_failures import as_aws_error
from .aws_gate import Gate
from .aws_params import check_params
from .aws_places import REGION, endpoint_of, partition_of
from .aws_signing import EventStream, sign

__all__ = [
    "Aws", "AwsError", "AwsProblem", "Credentials", "EventStream", "action_of", "aws_for", "check_params", "eks_token",
    "endpoint_of", "forget", "partition_of", "sign",
]

TOTAL_SECONDS = 30.0  # of one call with all its repetitions (reliability.md F19)
ATTEMPTS, PROBE_ATTEMPTS = 4, 2
FIRST_PAUSE = 0.1     # seconds, doubled before each repetition
ROLE_SECONDS = 3600   # the longest session of a role that another role assumes
KEPT_SECONDS = 600    # botocore renews temporary credentials before they have less left
MOST_KEPT = 128       # accounts and regions: people may ask for any region that could be one
ANEW_SECONDS = 60.0   # a session that somebody else refuses is begun anew so often at most
_READS = re.compile(r"(describe|list|get|head|search|filter|batch_get)(_|$)")
# Names under which services hand out the next page, and how it is asked for.
_NEXT = {"NextToken": "NextToken", "nextToken": "nextToken", "NextContinuationToken": "ContinuationToken"}


@dataclass(frozen=True)
class Credentials:
    """What signs a request. `expires_at` is until when they are good at least; None for keys that don't end."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Identity:
    """All that a way into an account is made of, the secret as it is stored."""

    account_uid: UUID
    region: str
    sign_in: str
    role_arn: str
    external_id: str
    access_key_id: str
    sealed: str = field(repr=False)
    endpoint: str
    account_id: str = ""  # where its places are; "" is not known yet


class Aws:
    """One account and region. Safe to share between threads; get one with `aws_for`."""

    def __init__(self, identity: Identity, secret_access_key: str, *, sleep: Callable[[float], None] = time.sleep,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.account_uid, self.region = identity.account_uid, identity.region
        self.partition = partition_of(identity.region)
        self._identity, self._secret = identity, secret_access_key
        self._sleep, self._clock = sleep, clock
        self._lock = threading.RLock()
        self._clients: dict[tuple[str, bool], Any] = {}
        self._gates: dict[str, Gate] = defaultdict(lambda: Gate(clock))
        self._base: Any = None  # signs in; where a role is assumed, `_own` is its session, else both are the same
        self._own: Any = None
        self._signed_in_at = 0.0
        self._is_the_account = not identity.account_id
        self._ahead = timedelta()
        self.tokens = Tokens(clock)

    def __repr__(self) -> str:
        return f"<Aws {self.account_uid} {self.region}>"

    # What can be asked.

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """One operation, named as botocore names it; throttled and broken calls are repeated a few times.

        Raises AwsError. THROTTLED says with `retry_after` when to come again; until then nothing is sent. A change
        that was cut off is not repeated: whether it happened, only a look can tell.
        """
        try:
            return self._signed_call(service, operation, params)
        except AwsError as error:
            if not error.is_session_over or not aws_sdk.are_temporary(self._credentials()):
                raise
            self._sign_in_again()
            return self._signed_call(service, operation, params)

    def pages(self, service: str, operation: str, key: str, **params: Any) -> Iterator[Any]:
        """Each item under `key` of all pages. Raises AwsError, also where AWS hands out the same page twice."""
        seen: set[str] = set()
        while True:
            answer = self.call(service, operation, **params)
            yield from answer.get(key) or ()
            name = next((name for name in _NEXT if answer.get(name)), "")
            if not name:
                return
            if answer[name] in seen:
                raise AwsError(AwsProblem.OTHER, _("AWS hands out the same page again and again."), service=service,
                               operation=operation)
            seen.add(answer[name])
            params[_NEXT[name]] = answer[name]

    def credentials(self, *, fresh: bool = False) -> Credentials:
        """What signs requests now, good for ten minutes at least. Raises AwsError where none can be had.

        `fresh` where they were refused elsewhere: a new session, unless this one is younger than a minute.
        """
        if fresh and self._clock() >= self._signed_in_at + ANEW_SECONDS:
            self._sign_in_again()
        found = self._credentials()
        frozen = self._frozen(found)
        ends = timezone.now() + timedelta(seconds=KEPT_SECONDS) if aws_sdk.are_temporary(found) else None
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "", ends)

    def whoami(self) -> tuple[str, str]:
        """Account id and ARN that AWS takes us for."""
        answer = self.call("sts", "get_caller_identity")
        return clean(answer["Account"], 12), clean(answer["Arn"], 300)

    def object_bytes(self, bucket: str, key: str, *, most: int) -> bytes:
        """The first `most` bytes of an object in S3. Raises AwsError."""
        body = self.call("s3", "get_object", Bucket=bucket, Key=key, Range=f"bytes=0-{most - 1}")["Body"]
        with as_aws_error("s3", "get_object"):
            return bytes(body.read(most))

    def now(self) -> datetime:
        """The time by AWS's clock, as its last answer told it: the times of its objects are by that clock."""
        return timezone.now() + self._ahead

    def close(self) -> None:
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
        for client in clients:
            client.close()

    # Signing in.

    def _sessions(self) -> tuple[Any, Any]:
        with self._lock:
            if self._own is None:
                base = self._base_credentials()
                self._base = aws_sdk.session_with(base)
                assumed = aws_sdk.renewed_by(self._assume) if self._identity.sign_in == SignIn.ROLE else base
                self._own = aws_sdk.session_with(assumed)
                self._signed_in_at = self._clock()
            return self._base, self._own

    def _base_credentials(self) -> Any:
        if self._identity.access_key_id and self._identity.sign_in != SignIn.MACHINE:
            return aws_sdk.keys(self._identity.access_key_id, self._secret)
        with as_aws_error("sts", "get_caller_identity"):
            found = aws_sdk.machine_credentials()
        if found is None:
            raise AwsError(AwsProblem.AUTH, _("This machine has no AWS credentials: give it a role, or enter keys."))
        return found

    def _assume(self) -> dict[str, str]:
        """A session of the role, as botocore wants it. Raises AwsError."""
        params = {"RoleArn": self._identity.role_arn, "RoleSessionName": f"inference-portal-{self.account_uid.hex[-12:]}",
                  "DurationSeconds": ROLE_SECONDS}
        if self._identity.external_id:
            params["ExternalId"] = self._identity.external_id
        given = self._repeated("sts", "assume_role", params, is_base=True)["Credentials"]
        return {"access_key": given["AccessKeyId"], "secret_key": given["SecretAccessKey"],
                "token": given["SessionToken"], "expiry_time": given["Expiration"].isoformat()}

    def _credentials(self) -> Any:
        return self._sessions()[1].get_credentials()

    def _frozen(self, credentials: Any) -> Any:
        try:
            with as_aws_error("sts", "get_caller_identity"):
                return credentials.get_frozen_credentials()
        except RuntimeError:  # botocore's word for new credentials that have ended already
            raise AwsError(AwsProblem.AUTH, _("AWS hands out a session that has ended already: is this machine's clock "
                                              "right?")) from None

    def _sign_in_again(self) -> None:
        with self._lock:
            self._base = self._own = None
            self.close()

    # The way out.

    def _signed_call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        self._frozen(self._credentials())  # its errors are about signing in, not about this call
        if service != "sts":
            self._require_account()
        around: AbstractContextManager[None] = nullcontext() if _READS.match(operation) else outside_call()
        with around:
            return self._repeated(service, operation, params)

    def _require_account(self) -> None:
        """Keys say nothing about whose they are, and in another account every endpoint would look deleted."""
        if self._is_the_account:
            return
        identity, is_role = self._identity, self._identity.sign_in == SignIn.ROLE
        found = identity.role_arn.split(":")[4] if is_role else self._repeated("sts", "get_caller_identity", {})["Account"]
        if found != identity.account_id:
            raise AwsError(AwsProblem.AUTH, _("This signs in to the AWS account %(new)s, but its places are in %(old)s. Enter "
                                              "that account's keys or role.") % {"new": found, "old": identity.account_id})
        self._is_the_account = True

    def _repeated(self, service: str, operation: str, params: dict[str, Any], *, is_base: bool = False) -> dict[str, Any]:
        client, gate = self._client(service, is_base=is_base), self._gates[service]
        attempts = PROBE_ATTEMPTS if gate.admit() else ATTEMPTS
        end = self._clock() + TOTAL_SECONDS - aws_sdk.READ
        for attempt in range(1, attempts + 1):
            try:
                with gate.waiting():
                    answer = self._once(client, service, operation, params)
            except AwsError as error:
                if attempt >= min(attempts, _attempts_for(error)) or self._clock() > end:
                    gate.failed(error)
                    raise
                self._sleep(FIRST_PAUSE * 2.0**attempt * (0.5 + 0.5 * random.random()))
            else:
                gate.passed()
                return answer
        raise AssertionError("unreachable")

    def _once(self, client: Any, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        with as_aws_error(service, operation, params):
            answer: dict[str, Any] = getattr(client, operation)(**params)
        self._note_time(answer.pop("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", ""))
        return answer

    def _note_time(self, date: str) -> None:
        try:
            self._ahead = parsedate_to_datetime(date) - timezone.now()
        except (TypeError, ValueError):
            return  # no date that could be read: the clock of before goes on

    def _client(self, service: str, *, is_base: bool) -> Any:
        with self._lock:
            client = self._clients.get((service, is_base))
            if client is None:
                session = self._sessions()[0 if is_base else 1]
                client = aws_sdk.client_of(session, service, self.region, self._identity.endpoint)
                self._clients[service, is_base] = client
            return client


def _attempts_for(error: AwsError) -> int:
    """A throttled call was not made; one that broke may have been, so that only looking is repeated, once."""
    if error.problem is AwsProblem.THROTTLED:
        return ATTEMPTS
    looks = bool(_READS.match(error.operation)) or error.operation == "assume_role"
    return 2 if error.problem is AwsProblem.UNREACHABLE and looks else 1


@dataclass(frozen=True)
class _Kept:
    identity: Identity
    aws: Aws


_kept: dict[tuple[int, str], _Kept] = {}
_lock = threading.Lock()
os.register_at_fork(after_in_child=_kept.clear)  # two processes must not write to one connection


def aws_for(account: AwsAccount, region: str = "") -> Aws:
    """The account as the row is now, in `region` or its own; kept while what the row signs in with is the same.

    Raises AwsError for a region that can't be one and a secret that can't be read.
    """
    identity = _identity(account, region or account.region)
    if not REGION.fullmatch(identity.region):
        raise AwsError(AwsProblem.INVALID, _("“%(region)s” is no region of AWS.") % {"region": clean(identity.region, 40)})
    key = (account.pk, identity.region)
    with _lock:
        kept = _kept.get(key)
        if kept is not None and kept.identity == identity:
            _kept[key] = _kept.pop(key)  # the last that goes
            return kept.aws
        fresh = _Kept(identity, Aws(identity, _secret(account)))
        _kept[key] = fresh
        old = _kept.pop(next(iter(_kept))) if len(_kept) > MOST_KEPT else kept
    if old is not None:
        old.aws.close()
    return fresh.aws


def forget(account: AwsAccount) -> None:
    """Close what is kept for this account: sessions, tokens and pauses begin anew."""
    with _lock:
        gone = [_kept.pop(key) for key in list(_kept) if key[0] == account.pk]
    for kept in gone:
        kept.aws.close()


def eks_token(aws: Aws, eks_name: str, *, fresh: bool = False) -> str:
    """A bearer for this EKS cluster, k8s-aws-v1.…, made once in ten minutes and good for fifteen. Raises AwsError."""
    return aws.tokens.of(eks_name, aws.region, aws.credentials, fresh=fresh).text


def _identity(account: AwsAccount, region: str) -> Identity:
    return Identity(account.uid, region, account.sign_in, account.role_arn, account.external_id, account.access_key_id,
                    account.secret_access_key, settings.PORTAL_AWS_ENDPOINT, account.account_id)


def _secret(account: AwsAccount) -> str:
    try:
        return account.secret("secret_access_key")
    except SecretUnreadable:
        raise AwsError(AwsProblem.AUTH, _("The stored secret key can't be read. Enter it again.")) from None
