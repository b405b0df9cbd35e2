"""What the JSON API shows of an endpoint's evidence: why it is not ready, its replicas, events and logs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from ninja import Schema
from pydantic import Field

from endpoints.explaining import Explanation, Finding, lines_of
from endpoints.schemas import MAX_REPLICAS
from portal.tenancy.pagination import ClosedQuery


class LogQuery(ClosedQuery):
    """`follow` sends each new line as plain text for some minutes; `plain` sends what is there as plain text."""

    replica: int = Field(0, ge=0, lt=MAX_REPLICAS)
    previous: bool = False
    lines: int = Field(400, ge=1, le=2000)
    follow: bool = False
    form: Literal["json", "plain"] = "json"


class LogOut(Schema):
    replica: int
    previous: bool
    text: str


class CandidateOut(Schema):
    """One possible cause; `certainty` orders them, up to about 100."""

    cause: str
    rule: str
    sentence: str
    next_step: str
    certainty: int
    evidence: list[str]


class ExplanationOut(Schema):
    """The most likely cause with its next step, then the other candidates. `unread` names what could not be looked at."""

    cause: str
    sentence: str
    next_step: str
    evidence: list[str]
    lines: list[str]
    others: list[CandidateOut]
    looked_at: datetime | None
    unread: list[str]


class ReplicaOut(Schema):
    """One pod, or one engine process on a host."""

    name: str
    replica: int
    revision: int
    node: str
    phase: str
    ready: bool
    restarts: int
    exit_code: int | None
    message: str
    since: datetime | None


class HappeningOut(Schema):
    """An event of the cluster; `object` is Kind/name."""

    object: str
    reason: str
    message: str
    warning: bool
    count: int
    first: datetime | None
    last: datetime | None


class ReplicaList(Schema):
    items: list[ReplicaOut]
    looked_at: datetime


class HappeningList(Schema):
    items: list[HappeningOut]
    looked_at: datetime


def candidate_out(finding: Finding) -> CandidateOut:
    return CandidateOut(
        cause=finding.cause, rule=finding.rule, sentence=finding.sentence, next_step=finding.next_step,
        certainty=finding.weight, evidence=list(lines_of(finding)))


def explanation_out(found: Explanation) -> ExplanationOut:
    return ExplanationOut(
        cause=found.cause, sentence=found.sentence, next_step=found.next_step, evidence=list(lines_of(found.first)),
        lines=list(found.last_lines), others=[candidate_out(other) for other in found.others],
        looked_at=found.seen.looked_at, unread=list(found.seen.unread))
