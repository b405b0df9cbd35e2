"""What can go wrong with AWS, told apart by what to do about it (reliability.md F23)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _

from portal.tenancy.text import clean

MOST_CHARS = 1000
LEAST_SECRET = 8


class AwsProblem(StrEnum):
    """A stable word for each way out; see `AwsError.is_of_the_place`."""

    AUTH = "AuthFailed"          # the keys, the role or its session are refused
    FORBIDDEN = "Forbidden"      # a right is missing; `AwsError.action` names it
    THROTTLED = "Throttled"      # too many calls: come again after `retry_after`
    NOT_FOUND = "NotFound"
    TAKEN = "Taken"              # there is one of this name, or it is in the middle of a change
    LIMIT = "Limit"              # a quota of the account is used up
    INVALID = "Invalid"          # AWS, or the SDK before it, refuses a parameter
    UNREACHABLE = "Unreachable"  # no address, no connection, time-out, or AWS itself fails (5xx)
    OTHER = "Other"


OF_THE_PLACE = frozenset({AwsProblem.AUTH, AwsProblem.THROTTLED, AwsProblem.UNREACHABLE})

_CODES: dict[AwsProblem, frozenset[str]] = {
    AwsProblem.THROTTLED: frozenset({
        "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
        "TooManyRequestsException", "TooManyRequests", "RequestLimitExceeded", "BandwidthLimitExceeded",
        "SlowDown", "ProvisionedThroughputExceededException", "PriorRequestNotComplete",
        "EC2ThrottledException",
    }),
    AwsProblem.AUTH: frozenset({
        "UnrecognizedClientException", "UnrecognizedClient", "InvalidClientTokenId", "InvalidAccessKeyId", "AuthFailure",
        "ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired", "InvalidToken",
        "SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature", "IncompleteSignatureException",
        "MissingAuthenticationToken", "MissingAuthenticationTokenException", "RequestTimeTooSkewed", "OptInRequired",
        "RegionDisabledException",
    }),
    AwsProblem.FORBIDDEN: frozenset({
        "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "Unauthorized", "Forbidden",
        "ForbiddenException", "AuthorizationError", "AllAccessDisabled", "403",
    }),
    AwsProblem.NOT_FOUND: frozenset({
        "ResourceNotFound", "ResourceNotFoundException", "NotFoundException", "NotFound", "NoSuchKey", "NoSuchBucket",
        "NoSuchEntity", "NoSuchEntityException", "ObjectNotFoundException", "RepositoryNotFoundException",
        "ImageNotFoundException", "404",
    }),
    AwsProblem.TAKEN: frozenset({
        "ResourceInUse", "ResourceInUseException", "ConflictException", "ConcurrentUpdateException", "EntityAlreadyExists",
        "ResourceAlreadyExistsException", "BucketAlreadyExists", "BucketAlreadyOwnedByYou",
    }),
    AwsProblem.LIMIT: frozenset({
        "ResourceLimitExceeded", "ResourceLimitExceededException", "LimitExceededException", "LimitExceeded",
        "ServiceQuotaExceededException",
    }),
    AwsProblem.INVALID: frozenset({
        "ValidationException", "ValidationError", "InvalidParameterException", "InvalidParameterValue",
        "InvalidParameterCombination", "InvalidRequestException", "InvalidRequest", "MalformedPolicyDocument",
    }),
    AwsProblem.UNREACHABLE: frozenset({
        "InternalFailure", "InternalServerError", "InternalServerException", "InternalError", "InternalServiceError",
        "ServiceUnavailable", "ServiceUnavailableException", "ServerException", "RequestTimeout",
        "RequestTimeoutException", "500", "502", "503", "504",
    }),
}
_PROBLEM_OF = {code: problem for problem, codes in _CODES.items() for code in codes}
# SageMaker says by words what other services say by codes; not all of these were seen on a real account.
_MISSING = re.compile(r"could not find|does not exist", re.IGNORECASE)
_EXISTING = re.compile(r"cannot create already existing|already exists", re.IGNORECASE)
_RATE = re.compile(r"rate exceeded|too many requests", re.IGNORECASE)
_SESSION_OVER = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})

_ACTION = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z0-9]+)")
# What a message may quote of a request: signatures, session tokens, key ids, and a policy's encoded story.
_QUOTED = re.compile(
    r"(?:X-Amz-(?:Signature|Security-Token|Credential)|Signature|Credential|SecurityToken)=[^\s&,'\"<]+"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|k8s-aws-v1\.[\w-]+|Encoded authorization failure message:.*",
    re.IGNORECASE | re.DOTALL)


class AwsError(Exception):
    """One error for every call. `message` is cleaned text of AWS or ours; it never holds a secret or a signature."""

    def __init__(
        self, problem: AwsProblem, message: str, *, code: str = "", service: str = "", operation: str = "",
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.problem = problem
        self.message = message
        self.code = code                # AWS's own, such as ValidationException
        self.service = service          # as botocore names them: sagemaker, describe_endpoint
        self.operation = operation
        self.retry_after = retry_after  # seconds until it makes sense to call again

    @property
    def is_of_the_place(self) -> bool:
        """Whether everything of this account is concerned, not only the object of this call."""
        return self.problem in OF_THE_PLACE

    @property
    def action(self) -> str:
        """The right that a call needs, as policies name it: sagemaker:DescribeEndpoint."""
        named = _ACTION.search(self.message)
        return named[1] if named else action_of(self.service, self.operation)

    @property
    def is_session_over(self) -> bool:
        """Whether a new session of the same role or machine may be let in."""
        return self.code in _SESSION_OVER


# Services whose rights have another name than their client.
_PREFIXES = {"sagemaker-runtime": "sagemaker", "application-autoscaling": "application-autoscaling", "logs": "logs"}
_ACTIONS = {("s3", "list_objects_v2"): "s3:ListBucket", ("s3", "head_bucket"): "s3:ListBucket",
            ("s3", "list_buckets"): "s3:ListAllMyBuckets", ("s3", "head_object"): "s3:GetObject"}


def action_of(service: str, operation: str) -> str:
    """The right that an operation needs, as policies name it."""
    special = _ACTIONS.get((service, operation))
    return special or f"{_PREFIXES.get(service, service)}:{''.join(part.capitalize() for part in operation.split('_'))}"


def error_of_answer(answer: dict[str, Any], service: str, operation: str, *, hidden: Iterable[str] = ()) -> AwsError:
    """The error that an answer of AWS means; `answer` is what botocore's ClientError keeps as `response`.

    `hidden` are values of the request that may be secrets; those too short to be one are left.
    """
    said = answer.get("Error", {})
    code, message = str(said.get("Code", ""))[:100], str(said.get("Message", ""))
    for value in sorted(filter(_may_be_secret, hidden), key=len, reverse=True):
        message = message.replace(value, "…")
    message = scrubbed(message)
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    problem = _problem(code, message, status)
    if problem is AwsProblem.FORBIDDEN and (service, operation) == ("sts", "assume_role"):
        problem = AwsProblem.AUTH
    return AwsError(problem, _words(problem, code, message, service, operation), code=code, service=service,
                    operation=operation, retry_after=_retry_after(answer))


def _may_be_secret(value: str) -> bool:
    return len(value) >= LEAST_SECRET


def _problem(code: str, message: str, status: int) -> AwsProblem:
    if _RATE.search(message) or status == 429:
        return AwsProblem.THROTTLED
    problem = _PROBLEM_OF.get(code)
    if problem in (None, AwsProblem.INVALID):
        if _EXISTING.search(message):
            return AwsProblem.TAKEN
        if _MISSING.search(message):
            return AwsProblem.NOT_FOUND
    if problem is None:
        return AwsProblem.UNREACHABLE if status >= 500 else AwsProblem.OTHER
    return problem


def _words(problem: AwsProblem, code: str, message: str, service: str, operation: str) -> str:
    if problem is AwsProblem.AUTH and operation != "assume_role":  # its text may quote what was signed
        return _("AWS refuses to sign in (%(code)s). Test the account, and enter its keys or role again.") % {"code": code}
    if problem is AwsProblem.AUTH:
        return _("The role can't be assumed. Check its trust policy and the external ID. AWS says: %(message)s") % {
            "message": message or code}
    if problem is AwsProblem.FORBIDDEN and not _ACTION.search(message):
        return _("The right %(action)s is missing. AWS says: %(message)s") % {
            "action": action_of(service, operation), "message": message or code}
    return message or code or _("AWS refused without a reason.")


def _retry_after(answer: dict[str, Any]) -> float:
    header = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    return float(header) if re.fullmatch(r"\d{1,4}", header) else 0.0


def scrubbed(text: object) -> str:
    """AWS's words without what must not be shown."""
    return clean(_QUOTED.sub("…", str(text or "")), MOST_CHARS)


def unreachable(why: str, service: str, operation: str) -> AwsError:
    """The class of a failure of the network and nothing else of it (threat T20)."""
    return AwsError(AwsProblem.UNREACHABLE, _("AWS can't be reached (%(why)s).") % {"why": why}, service=service,
                    operation=operation)
