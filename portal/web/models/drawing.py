"""The sum of memory as a bar to scale, and as lines. Pure; widths and places are in per cent of the bar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from endpoints.planning.memory import MemorySum
from endpoints.planning.storage import gib


@dataclass(frozen=True)
class Part:
    """`look` is the class of its fill; `hatched` ones are somebody else's."""

    look: str
    at: str
    width: str
    hatched: bool = False


@dataclass(frozen=True)
class Bar:
    parts: tuple[Part, ...]
    limit: str
    label: str


@dataclass(frozen=True)
class Line:
    """A line of the sum; `is_sum` closes what is above it."""

    name: str
    value: str
    is_sum: bool = False


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}%"


def bar_of(memory: MemorySum) -> Bar:
    """Weights, engine, room for the cache; what others hold at the end; a needed part that isn't there, over the limit."""
    whole = max(memory.total, memory.needed)
    parts = [Part("f-free", "0%", percent(memory.total, whole))]
    if memory.taken:
        parts.append(Part("", percent(memory.total - memory.taken, whole), percent(memory.taken, whole), hatched=True))
    parts.append(Part("f-seen", "0%", percent(memory.weights, whole)))
    parts.append(Part("f-5", percent(memory.weights, whole), percent(memory.overhead, whole)))
    used = memory.weights + memory.overhead
    if memory.room:
        parts.append(Part("f-meant", percent(used, whole), percent(memory.room, whole)))
    if memory.short:
        start = max(used, memory.usable)
        parts.append(Part("f-over", percent(start, whole), percent(max(memory.needed - start, 0), whole)))
    return Bar(tuple(parts), percent(min(memory.usable, whole), whole), label_of(memory))


def label_of(memory: MemorySum) -> str:
    return _("Of %(total)s: weights %(weights)s, engine %(overhead)s, room for the KV cache %(room)s, usable %(usable)s, "
             "held by others %(taken)s") % {
        "total": gib(memory.total), "weights": gib(memory.weights), "overhead": gib(memory.overhead),
        "room": gib(memory.room), "usable": gib(memory.usable), "taken": gib(memory.taken)}


def device_of(memory: MemorySum) -> str:
    if memory.is_cpu:
        return _("%(machine)s, %(size)s of memory") % {"machine": memory.device, "size": gib(memory.total)}
    words = _("%(count)d × %(device)s, %(size)s each") if memory.count > 1 else _("%(count)d × %(device)s, %(size)s")
    return words % {
        "count": memory.count, "device": memory.device or _("GPU"), "size": gib(memory.total)}


def room_of(memory: MemorySum) -> str:
    """What the room for the cache is good for."""
    if memory.short:
        return _("One call of %(context)s tokens needs %(short)s more.") % {
            "context": number_format(memory.context, use_l10n=True, force_grouping=True), "short": gib(memory.short)}
    tokens = number_format(_rounded(memory.tokens), force_grouping=True)
    calls = int(memory.calls)
    return ngettext("Room for %(tokens)s tokens: one call of full length at a time",
                    "Room for %(tokens)s tokens: %(calls)s calls of full length at a time", calls) % {
        "tokens": tokens, "calls": number_format(calls, force_grouping=True)}


def _rounded(count: int) -> int:
    """To three digits: the engine rounds to blocks."""
    unit: int = 10 ** max(0, len(str(count)) - 3)
    return count // unit * unit


def lines_of(memory: MemorySum) -> Iterator[Line]:
    """The sum, as one would write it down."""
    yield Line(_("Memory of the machine that is free") if memory.is_cpu else _("GPU, as the driver sees it"), gib(memory.total))
    if not memory.is_cpu:
        yield Line(_("Share the engine may use"), f"× {number_format(memory.usable / memory.total, 2)}")
    yield Line(_("Claimed by the profile") if memory.is_cpu else _("Usable"), gib(memory.usable), is_sum=True)
    yield Line(_("Weights") if memory.count == 1 else _("Weights, of each GPU"), f"− {gib(memory.weights)}")
    yield Line(_("Engine"), f"− {gib(memory.overhead)}")
    if memory.weights + memory.overhead > memory.usable:
        missing = memory.weights + memory.overhead - memory.usable
        yield Line(_("Missing before the first token"), gib(missing), is_sum=True)
        return
    yield Line(_("Left for the KV cache"), gib(memory.room), is_sum=True)
    yield Line(_("One token"), _("%(size)s KiB") % {"size": number_format(memory.per_token / 1024, 0)})
    yield Line(_("Tokens at once"), number_format(_rounded(memory.tokens), force_grouping=True), is_sum=True)
