"""Refusals in AWS's words. https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html"""

from __future__ import annotations


class AwsFault(Exception):
    """An answer that is a refusal, with AWS's own error code."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status
        self.more: dict[str, object] = {}
        """Further members of the error's shape, besides the message."""


class Dropped(Exception):
    """The connection ends without an answer."""


def invalid(message: str) -> AwsFault:
    """SageMaker's word for nearly everything: what is wrong, what is missing, what is there already."""
    return AwsFault("ValidationException", message)


def denied(arn: str, action: str, resource: str = "*") -> AwsFault:
    """A right that the identity lacks. The words follow the IAM guide's examples; the tail varies in AWS."""
    return AwsFault("AccessDeniedException", f"User: {arn} is not authorized to perform: {action} on resource: {resource} "
                                             f"because no identity-based policy allows the {action} action")  # fmt: skip


# The same refusal has another name in each protocol: JSON services, query services (STS), S3.
NAMES = {
    "unknown key": ("UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"),
    "wrong signature": ("InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"),
    "too old": ("InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"),
    "expired": ("ExpiredTokenException", "ExpiredToken", "ExpiredToken"),
    "unsigned": ("MissingAuthenticationTokenException", "MissingAuthenticationToken", "AccessDenied"),
    "bad form": ("IncompleteSignatureException", "IncompleteSignature", "AuthorizationHeaderMalformed"),
}
WORDS = {
    "unknown key": "The security token included in the request is invalid.",
    "wrong signature": "The request signature we calculated does not match the signature you provided. Check your AWS "
                       "Secret Access Key and signing method. Consult the service documentation for details.",
    "too old": "Signature expired: the date of the request is too far from ours.",
    "expired": "The security token included in the request is expired",
    "unsigned": "Missing Authentication Token",
    "bad form": "Authorization header requires existence of 'Credential', 'Signature' and 'SignedHeaders' parameters.",
}  # fmt: skip


class Unauthenticated(Exception):
    """Why a request's signature is not good: a key of `NAMES`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def fault(self, protocol: str) -> AwsFault:
        place = {"query": 1, "rest-xml": 2}.get(protocol, 0)
        status = 400 if place == 0 and self.why != "unsigned" else 403
        return AwsFault(NAMES[self.why][place], WORDS[self.why], status)
