"""A run in words: figures as people write them, the load, the title that answers."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from endpoints.loadtests.states import Mode, RunState
from endpoints.loadtests.verdict import Check, checks, p95
from endpoints.models import LoadTest

from ..durations import took


def load_of(run: LoadTest) -> str:
    """20 calls/s for 5 min; 8 callers for 1 min."""
    time = took(run.seconds)
    if run.mode == Mode.RATE:
        return _("%(rate)s calls/s for %(time)s") % {"rate": f"{run.rate.normalize():f}", "time": time}
    return ngettext("%(n)d caller for %(time)s", "%(n)d callers for %(time)s", run.callers) % {
        "n": run.callers, "time": time}


def goal_words(check: Check) -> str:
    """A goal and what came of it, as one sentence."""
    given = ((took(check.limit), took(check.value)) if check.name != "errors"
             else (f"{check.limit:g} %", f"{check.value or 0:.3g} %"))
    names = {"first": _("First token, p95"), "between": _("Between tokens, p95"), "errors": _("Failed calls")}
    if check.value is None:
        return _("%(name)s: goal %(limit)s, nothing measured") % {"name": names[check.name], "limit": given[0]}
    return _("%(name)s: %(value)s, goal %(limit)s") % {"name": names[check.name], "value": given[1], "limit": given[0]}


def title_of(run: LoadTest) -> str:
    """What the run says, as a sentence."""
    number = {"number": run.number, "model": run.model_name}
    if run.state == RunState.QUEUED:
        return _("Run %(number)d waits for its turn") % number
    if run.state == RunState.RUNNING:
        return _("Run %(number)d of %(model)s is under way") % number
    ended = {RunState.STOPPED: _("Run %(number)d stopped by itself"), RunState.CANCELLED: _("Run %(number)d was cancelled"),
             RunState.INTERRUPTED: _("Run %(number)d was interrupted"), RunState.FAILED: _("Run %(number)d made no calls")}
    if run.state in ended:
        return ended[RunState(run.state)] % number
    return _result(run)


def _result(run: LoadTest) -> str:
    found = checks(run.goals, run.summary)
    missed = [goal_words(check) for check in found if check.is_met is False]
    first = p95(run.summary, "first")
    said = {"number": run.number, "goal": missed[0] if missed else "", "time": took(first)}
    if missed:
        return _("Run %(number)d missed a goal. %(goal)s") % said
    if found and all(check.is_met for check in found):
        return _("Run %(number)d held its goals") % said
    if first is None:
        return _("Run %(number)d got no answer") % said
    return _("Run %(number)d: 95 of 100 calls had their first token within %(time)s") % said
