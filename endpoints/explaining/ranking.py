"""From evidence to findings, the most certain first, and to the one explanation that pages and programs show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from clusters.units import GIB
from endpoints.states import Cause

from .clues import Clue, clues_of
from .evidence import Asked, Evidence
from .findings import Finding, Rule, Shown
from .rules import RULES

MOST_SHOWN = 5
MOST_OTHERS = 5
SAID_CHARS = 400
LAST_LINES = 20
# That something is wrong, but not what.
VAGUE = frozenset({
    "ended", "crash_loop", "agent_said", "agent_killed", "back_off", "probe", "ended_well", "bad_options", "killed", "image",
    "image_waiting", "config_error", "unschedulable", "log_error", "hyperpod_silent",
})
# Nothing is wrong with these yet, so they explain only a row of which nothing worse is known.
ON_THE_WAY = frozenset({"loading", "starting", "pending", "hyperpod_working"})


class _Figures(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "?"


@dataclass(frozen=True)
class Explanation:
    """Why it is not as wished: the most likely cause with its next step, the other candidates, and all that was seen."""

    first: Finding
    others: tuple[Finding, ...]
    seen: Evidence

    @property
    def cause(self) -> Cause:
        return self.first.cause

    @property
    def sentence(self) -> str:
        return self.first.sentence

    @property
    def next_step(self) -> str:
        return self.first.next_step

    @property
    def last_lines(self) -> list[str]:
        """The last lines of the replica that is worst off: of its run before, where it ended."""
        worst = min((one for one in self.seen.replicas if not one.ready), key=lambda one: -one.restarts, default=None)
        said = (worst.previous_log if worst.exit_code is not None else "") or worst.log or worst.previous_log if worst else ""
        return (said or self.seen.kept_log).splitlines()[-LAST_LINES:]


def rank(seen: Evidence) -> list[Finding]:
    """What the evidence supports, the most certain first. Pure.

    Clues that say the same become one finding; each further source that agrees makes it a little more certain.
    """
    found: dict[str, Finding] = {}
    for clue in clues_of(seen):
        for rule in RULES:
            if (figures := rule.match(clue)) is not None:
                _add(found, rule, clue, {**_asked(seen.asked), **figures})
                break
    return _without_echoes(sorted(found.values(), key=lambda finding: -finding.weight))


def _without_echoes(found: list[Finding]) -> list[Finding]:
    """Leave out what only repeats that a replica is in trouble, where a surer finding says which trouble it is."""
    told: set[str] = set()
    kept: list[Finding] = []
    for finding in found:
        subjects = {shown.subject for shown in finding.shown_by}
        if not (finding.rule in VAGUE and subjects <= told) and not (finding.rule in ON_THE_WAY and kept):
            kept.append(finding)
        told |= subjects
    return kept


def _add(found: dict[str, Finding], rule: Rule, clue: Clue, figures: Mapping[str, object]) -> None:
    shown = Shown(clue.source, clue.subject, clue.text or clue.word, clue.at, clue.count)
    known = found.get(rule.name)
    if known is None:
        words = _Figures(figures, said=clue.text[:SAID_CHARS])
        found[rule.name] = Finding(rule.name, rule.cause, str(rule.sentence) % words, str(rule.next_step) % words,
                                   rule.weight, (shown,))
    elif shown not in known.shown_by:
        agrees = shown.source not in {one.source for one in known.shown_by}
        found[rule.name] = replace(known, weight=known.weight + agrees,
                                   shown_by=(*known.shown_by, shown)[:MOST_SHOWN])


def _asked(asked: Asked) -> dict[str, object]:
    return {"gpus": asked.gpus, "cpu": f"{asked.cpu_millis / 1000:g}", "memory": f"{asked.memory_bytes / GIB:g}",
            "image": asked.image, "model": asked.model, "release": asked.release,
            "minutes": max(1, round(asked.start_seconds / 60))}


def explanation(seen: Evidence) -> Explanation:
    """The ranked findings as one answer; there is always a first one, even where nothing is wrong or known."""
    found = rank(seen)
    if not found:
        found = [_nothing_wrong(seen)]
    return Explanation(found[0], tuple(found[1: 1 + MOST_OTHERS]), seen)


def _nothing_wrong(seen: Evidence) -> Finding:
    def finding(name: str, cause: Cause, sentence: str, next_step: str) -> Finding:
        return Finding(name, cause, sentence, next_step, 0)

    if not seen.wanted:
        return finding("not_wanted", Cause.NONE, _("No replica is wanted now."), _("Press Start to bring it into service."))
    if seen.ready >= seen.wanted:
        return finding("all_ready", Cause.NONE, _("Every replica is ready."), _("There is nothing to do."))
    if not seen.replicas:
        return finding("nothing_made", Cause.REPLICAS_MISSING, _("No replica has been made yet."),
                       _("Wait for the portal's next step, or press Retry. The plan shows what it will make."))
    return finding("unknown", Cause.REPLICAS_MISSING, _("%(ready)d of %(wanted)d replicas are ready, and nothing says why.") % {
        "ready": seen.ready, "wanted": seen.wanted}, _("Read the events and the last lines below, or press Retry."))


def lines_of(finding: Finding) -> tuple[str, ...]:
    """The evidence of a finding as plain lines."""
    return tuple(f"{shown.source} {shown.subject}: {shown.text}".replace(" :", ":") for shown in finding.shown_by)
