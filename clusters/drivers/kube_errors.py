"""What can go wrong with a Kubernetes API, told apart by what to do about it (reliability.md F13-F21)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Problem(StrEnum):
    """A stable word for each way out; see `KubeError.is_of_the_cluster`."""

    AUTH = "AuthFailed"          # 401: the credential is refused
    FORBIDDEN = "Forbidden"      # 403: the credential lacks a right
    TLS = "TLSFailed"            # the certificate is not trusted by the stored CA
    UNREACHABLE = "Unreachable"  # no address, no connection, time-out, or the breaker is open
    BUSY = "Busy"                # 429 or 5xx
    NOT_FOUND = "NotFound"       # the object
    NO_KIND = "CRDMissing"       # the kind: its CRD is not installed
    ENDING = "Terminating"       # its namespace is being deleted
    EXISTS = "AlreadyExists"
    CONFLICT = "Conflict"        # 409: another writer, or fields owned by another manager
    INVALID = "Invalid"          # 400, 422, and what an admission webhook denies
    GONE = "Gone"                # 410: the version or the continue token is too old
    TOO_LARGE = "TooLarge"       # the answer is larger than we read


OF_THE_CLUSTER = frozenset({Problem.AUTH, Problem.TLS, Problem.UNREACHABLE, Problem.BUSY})


@dataclass(frozen=True)
class FieldFault:
    """One part of a refusal: the field's path, the server's reason word and its sentence."""

    field: str
    reason: str
    message: str


class KubeError(Exception):
    """One error for every call. `message` is cleaned text of the server or ours; it never holds a secret."""

    def __init__(
        self, problem: Problem, message: str, *, status: int = 0, faults: tuple[FieldFault, ...] = (),
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.problem = problem
        self.message = message
        self.status = status
        self.faults = faults
        self.retry_after = retry_after  # seconds that the server asked to wait

    @property
    def is_of_the_cluster(self) -> bool:
        """Whether every endpoint of the cluster is concerned, not only the object of this call."""
        return self.problem in OF_THE_CLUSTER
