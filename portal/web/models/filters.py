"""Which models somebody wants to see: read from the address, applied to entries, and written back into addresses. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from urllib.parse import urlencode

from django.conf.locale import LANG_INFO
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from models_catalog.choices import Task

MOST_CHARS, LAST_PAGE = 100, 10_000
MANY = "multi"
BILLION = 10**9
# Each size with its bounds in parameters; the upper one is left out.
SIZES: Mapping[str, tuple[str | Promise, int, int]] = {
    "1b": (gettext_lazy("under 1 B parameters"), 0, BILLION),
    "4b": (gettext_lazy("1 to 4 B parameters"), BILLION, 4 * BILLION),
    "15b": (gettext_lazy("4 to 15 B parameters"), 4 * BILLION, 15 * BILLION),
    "40b": (gettext_lazy("15 to 40 B parameters"), 15 * BILLION, 40 * BILLION),
    "120b": (gettext_lazy("40 to 120 B parameters"), 40 * BILLION, 120 * BILLION),
    "huge": (gettext_lazy("over 120 B parameters"), 120 * BILLION, 10**18),
}


@dataclass(frozen=True)
class Entry:
    """A model as far as one can filter by it. `text` is in lower case and holds its names in every language."""

    pk: int
    name: str
    text: str
    vendor: str
    vendor_name: str
    task: str
    licence: str
    languages: tuple[str, ...]
    parameters: int | None


@dataclass(frozen=True)
class Option:
    value: str
    label: str
    count: int


@dataclass(frozen=True)
class Chip:
    """A filter in use, and the address without it."""

    label: str
    query: str


@dataclass(frozen=True)
class Filters:
    """What the address asks for; empty asks for nothing. `fits` wants only what fits in one of the places now."""

    q: str = ""
    task: str = ""
    size: str = ""
    licence: str = ""
    vendor: str = ""
    language: str = ""
    fits: bool = False
    page: int = 1

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Filters:
        """Whatever the address holds; what is no number of a page is the first."""
        texts = {each.name: str(given.get(each.name, "")).strip()[:MOST_CHARS] for each in fields(cls) if each.type == "str"}
        page = given.get("page", "")
        number = int(page) if page.isascii() and page.isdigit() and len(page) < 6 else 1
        return cls(**texts, fits=given.get("fits") == "1", page=min(max(number, 1), LAST_PAGE))

    def query(self, **changes: str | int | bool) -> str:
        """The end of an address with these filters and `changes`, without what is empty; another filter begins at page 1."""
        changed = replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]
        kept = {name: int(value) if value is True else value for name, value in asdict(changed).items()
                if value and not (name == "page" and value == 1)}
        return f"?{urlencode(kept)}" if kept else "?"

    @property
    def any(self) -> bool:
        return self != Filters(page=self.page)

    def take(self, entry: Entry) -> bool:
        """Whether this model is asked for; `fits` is left to who knows the places."""
        words = self.q.lower().split()
        return (all(word in entry.text for word in words)
                and self.task in ("", entry.task) and self.licence in ("", entry.licence)
                and self.vendor in ("", entry.vendor) and (not self.language or self.language in entry.languages)
                and (not self.size or _size_of(entry.parameters) == self.size))


def _size_of(parameters: int | None) -> str:
    if parameters is None:
        return ""
    return next((name for name, (_label, least, most) in SIZES.items() if least <= parameters < most), "")


def language_name(code: str) -> str:
    """A language in its own words."""
    if code == MANY:
        return _("many more")
    known = LANG_INFO.get({"zh": "zh-hans", "tl": "fil"}.get(code, code), {})
    return str(known.get("name_local", code))


def options_of(entries: Sequence[Entry]) -> dict[str, list[Option]]:
    """What each filter can be set to, with how many models have it."""
    sizes = Counter(_size_of(entry.parameters) for entry in entries)
    vendors = {entry.vendor: entry.vendor_name for entry in entries}
    return {
        "task": [option for option in _counted((entry.task for entry in entries), dict(Task.choices)) if option.value],
        "size": [Option(name, str(label), sizes[name]) for name, (label, _least, _most) in SIZES.items() if sizes[name]],
        "licence": _counted((entry.licence for entry in entries if entry.licence), {}),
        "vendor": _counted((entry.vendor for entry in entries), vendors),
        "language": _counted((code for entry in entries for code in entry.languages),
                             {code: language_name(code) for entry in entries for code in entry.languages}),
    }


def _counted(values: Iterable[str], labels: Mapping[str, str | Promise]) -> list[Option]:
    counts = Counter(values)
    found = [Option(value, str(labels.get(value, value)), count) for value, count in counts.items()]
    return sorted(found, key=lambda option: (-option.count, option.label.lower()))


def chips_of(filters: Filters, options: Mapping[str, Sequence[Option]]) -> list[Chip]:
    """Each filter that is in use, the one that one chose first first."""
    found = [Chip(f"“{filters.q}”", filters.query(q=""))] if filters.q else []
    for name, known in options.items():
        value = getattr(filters, name)
        if value:
            label = next((option.label for option in known if option.value == value), value)
            found.append(Chip(label, filters.query(**{name: ""})))
    return [*found, Chip(_("Fits somewhere now"), filters.query(fits=False))] if filters.fits else found
