"""Which runs a person sees, and a run's figures as its page shows them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from endpoints.loadtests.results import MEASURES
from endpoints.loadtests.states import SHAPES, WHY, Ending, RunState
from endpoints.loadtests.verdict import RATES, Change, Check, change, checks, compare, error_percent, p95
from endpoints.models import LoadTest, LoadTestQuerySet
from portal.tenancy.answers import is_uid
from portal.tenancy.errors import NotFound

from ..durations import took
from ..visit import Visit
from .words import goal_words, load_of

OTHERS = 20
CLIENT_IS_LATE = 0.05  # seconds of p99, from which the times say more about the test than about the model
TITLES: dict[str, str | Promise] = {
    "first": gettext_lazy("First token"), "between": gettext_lazy("Between tokens"), "whole": gettext_lazy("Whole answer"),
    "requests_per_second": gettext_lazy("Calls answered each second"),
    "tokens_per_second": gettext_lazy("Tokens out each second"), "errors": gettext_lazy("Failed calls"),
}
KINDS: dict[str, str | Promise] = {
    "http_429": gettext_lazy("refused by a limit"), "http_503": gettext_lazy("not ready"),
    "http_502": gettext_lazy("the engine could not be reached"), "timeout": gettext_lazy("no end within 2 minutes"),
    "network": gettext_lazy("connection failed"), "cut": gettext_lazy("answer cut off"),
    "unfinished": gettext_lazy("given up when the run ended"),
}
STATES = ("", *RunState.values)


def runs_of(visit: Visit) -> LoadTestQuerySet:
    return LoadTest.objects.for_workspaces(visit.workspaces)


def run_of(visit: Visit, uid: UUID) -> LoadTest:
    """Raises NotFound, alike for one of somebody else's."""
    found = runs_of(visit).select_related("workspace", "created_by", "endpoint", "route").filter(uid=uid).first()
    if found is None:
        raise NotFound()
    return found


def other_of(visit: Visit, run: LoadTest, uid: str) -> LoadTest | None:
    """The run to compare with, of the same workspace. Raises NotFound."""
    if not uid:
        return None
    found = runs_of(visit).filter(workspace=run.workspace_id, uid=UUID(uid)).first() if is_uid(uid) else None
    if found is None:
        raise NotFound()
    return found


def earlier(visit: Visit, run: LoadTest) -> list[LoadTest]:
    """The latest runs of the same name that measured something."""
    same = runs_of(visit).filter(workspace=run.workspace_id, model_name=run.model_name).exclude(pk=run.pk)
    return list(same.exclude(state__in=[RunState.QUEUED, RunState.RUNNING, RunState.FAILED]).for_lists()
                .order_by("-pk")[:OTHERS])


@dataclass(frozen=True)
class Line:
    """A run in a list."""

    run: LoadTest

    @property
    def load(self) -> str:
        return load_of(self.run)

    @property
    def first(self) -> str:
        return took(p95(self.run.summary, "first"))

    @property
    def between(self) -> str:
        return took(p95(self.run.summary, "between"))

    @property
    def tokens(self) -> str:
        return rate(self.run.summary.get("tokens_per_second"))

    @property
    def errors(self) -> str:
        return share(error_percent(self.run.summary))

    @property
    def colour(self) -> str:
        return SHAPES[self.run.state][0]

    @property
    def shape(self) -> str:
        return SHAPES[self.run.state][1]

    @property
    def missed(self) -> list[str]:
        return [goal_words(check) for check in checks(self.run.goals, self.run.summary) if check.is_met is False]


@dataclass(frozen=True)
class Figure:
    """A measure with its three quantiles, or one value under p95, beside another run's."""

    title: str | Promise
    p50: str
    p95: str
    p99: str
    other: str
    change: str
    is_better: bool | None
    has_change: bool


def figures_of(run: LoadTest, other: LoadTest | None) -> list[Figure]:
    changes = {one.name: one for one in (compare(run.summary, other.summary) if other else _alone(run.summary))}
    return [_figure(name, run.summary.get(name), changes[name], other is not None) for name in TITLES]


def _alone(summary: Mapping[str, Any]) -> Iterator[Change]:
    for name in MEASURES:
        yield change(name, p95(summary, name), None)
    for name in RATES:
        yield change(name, summary.get(name), None)
    yield change("errors", error_percent(summary), None)


def _figure(name: str, measured: Any, one: Change, is_compared: bool) -> Figure:
    facts = measured or {} if name in MEASURES else {}
    write = share if name == "errors" else rate if name in RATES else took
    return Figure(
        TITLES[name], took(facts["p50"]) if facts else "", write(one.ours), took(facts["p99"]) if facts else "",
        write(one.theirs) if is_compared else "", _change_words(one, name) if is_compared else "", one.is_better, is_compared)


def _change_words(one: Change, name: str) -> str:
    """“31 % faster”: the percent and which of the two is better."""
    if one.percent is None:
        return "–" if one.is_better is None else _("better") if one.is_better else _("worse")
    percent = {"percent": number_format(abs(one.percent), 0 if abs(one.percent) >= 10 else 1)}
    if one.is_better is None:
        return _("the same within %(percent)s %%") % percent
    if name in RATES or name == "errors":
        return (_("%(percent)s %% more") if one.percent > 0 else _("%(percent)s %% less")) % percent
    return (_("%(percent)s %% slower") if one.percent > 0 else _("%(percent)s %% faster")) % percent


@dataclass(frozen=True)
class Fault:
    title: str | Promise
    count: int
    message: str


def faults_of(run: LoadTest) -> list[Fault]:
    """Failed calls by kind, the most frequent first."""
    found = [Fault(KINDS.get(kind, kind.replace("http_", "HTTP ")), one["count"], one["message"])
             for kind, one in run.summary.get("errors", {}).items()]
    return sorted(found, key=lambda fault: -fault.count)


@dataclass(frozen=True)
class Progress:
    """How far a run has come. `percent` is of its time."""

    percent: float
    passed: str
    left: str


def progress_of(run: LoadTest) -> Progress:
    seconds = min(float(run.summary.get("seconds", 0)), run.seconds)
    return Progress(round(seconds * 100 / run.seconds, 1), took(round(seconds)), took(round(run.seconds - seconds)))


def cautions_of(run: LoadTest) -> list[str]:
    """What a reader must know before believing the figures."""
    summary, said = run.summary, []
    lag = (summary.get("lag") or {}).get("p99", 0)
    if run.mode == "rate" and lag > CLIENT_IS_LATE:
        said.append(_("The test itself was late: 1 of 100 calls left %(time)s after its time. The wait is in the figures, so "
                      "they are too high rather than too low.") % {"time": took(lag)})
    if summary.get("unsent"):
        said.append(_("%(n)d calls were planned and never sent, because 256 others were still open.") % {
            "n": summary["unsent"]})
    if summary.get("unreported"):
        said.append(_("The engine did not report the tokens of %(n)d calls; theirs are counted by pieces of the answer.") % {
            "n": summary["unreported"]})
    return said


def why_of(run: LoadTest) -> str | Promise:
    return WHY[Ending(run.ending)] if run.ending else ""


def goals_of(run: LoadTest) -> Sequence[tuple[Check, str]]:
    return [(check, goal_words(check)) for check in checks(run.goals, run.summary)]


def cost_of(run: LoadTest) -> float | None:
    """What the run's tokens cost at the prices of its start, in whole units; None without a price."""
    if not (run.prompt_nano or run.output_nano):
        return None
    used = run.summary
    return float(used.get("prompt_tokens", 0) * run.prompt_nano + used.get("output_tokens", 0) * run.output_nano) / 10**9


def took_in_all(run: LoadTest) -> str:
    if run.began_at is None:
        return "–"
    return took(((run.ended_at or timezone.now()) - run.began_at).total_seconds())


def rate(value: float | None) -> str:
    return "–" if value is None else _("%(rate)s /s") % {"rate": number_format(value, 0 if value >= 100 else 1)}


def share(percent: float | None) -> str:
    return "–" if percent is None else f"{number_format(percent, 0 if percent in (0, 100) else 1)} %"


COLUMNS = ("seconds", "started", "done", "failed", "in_flight", "tokens_per_second", *(
    f"{name}_{quantile}" for name in ("first", "between", "whole") for quantile in ("p50", "p95", "p99")))


def points_of(run: LoadTest) -> list[list[Any]]:
    """The points as rows of COLUMNS; times are in seconds."""
    return [[point["t"], point["started"], point["done"], point["failed"], point["in_flight"], point["tokens"],
             *(value for name in ("first", "between", "whole") for value in (point[name] or ["", "", ""]))]
            for point in run.series.get("points", [])]


def as_csv(run: LoadTest) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(points_of(run))
    return text.getvalue()
