"""The shape of a rule, and of what it finds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise

from endpoints.states import Cause

from .clues import Clue, Source

Words = str | Promise


@dataclass(frozen=True)
class Shown:
    """One line of evidence for a finding, with its source and age."""

    source: str
    subject: str
    text: str
    at: datetime | None = None
    count: int = 1


@dataclass(frozen=True)
class Finding:
    """One thing that explains the state: in a sentence, with what to do next. A larger weight is more certain."""

    rule: str
    cause: Cause
    sentence: str
    next_step: str
    weight: int
    shown_by: tuple[Shown, ...] = ()


@dataclass(frozen=True)
class Rule:
    """What a clue must look like, and what it means. Words may name the figures of the clue and of the rule's groups."""

    name: str
    cause: Cause
    weight: int
    sources: frozenset[Source]
    word: re.Pattern[str]
    text: re.Pattern[str]
    kinds: frozenset[str]
    sentence: Words
    next_step: Words

    def match(self, clue: Clue) -> Mapping[str, object] | None:
        """The figures, where it fits."""
        if clue.source not in self.sources or (self.kinds and clue.kind not in self.kinds):
            return None
        word, text = self.word.fullmatch(clue.word), self.text.search(clue.text)
        if word is None or text is None:
            return None
        return {**clue.figures, **_named(word), **_named(text)}


def _named(match: re.Match[str]) -> dict[str, str]:
    return {name: value for name, value in match.groupdict().items() if value is not None}


def rule(  # noqa: PLR0917 - a table reads better without names
    name: str, cause: Cause, weight: int, sources: Source | tuple[Source, ...], word: str, sentence: Words,
    next_step: Words, *, text: str = "", kinds: tuple[str, ...] = (),
) -> Rule:
    """A rule; `word` must fit the whole word of a clue, `text` anywhere in its sentence, both in any case."""
    where = (sources,) if isinstance(sources, Source) else sources
    return Rule(name, cause, weight, frozenset(where), re.compile(word, re.IGNORECASE),
                re.compile(text, re.IGNORECASE | re.DOTALL), frozenset(kinds), sentence, next_step)
