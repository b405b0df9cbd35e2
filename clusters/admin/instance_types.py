"""The page of instance types: a table to read and to search, with the prices of the book."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from clusters.instances import InstanceType, PriceBook, all_types, price_book
from clusters.instances.prices import money

from .figures import gib


@dataclass(frozen=True)
class Line:
    """One type as its row shows it; `prices` stand in the order of the regions."""

    kind: InstanceType
    memory: str
    accelerators: str
    on_hyperpod: str
    prices: tuple[str, ...]


def instance_types(request: HttpRequest) -> HttpResponse:
    """For whoever may see places; `q` narrows the table by words of a type's name or accelerator."""
    if not request.user.has_perm("clusters.view_cluster"):
        raise PermissionDenied
    words = request.GET.get("q", "")[:100].lower().split()
    book = price_book()
    context: dict[str, Any] = {
        **admin.site.each_context(request), "title": _("Instance types"), "q": " ".join(words), "book": book,
        "regions": list(book.regions), "lines": [line(kind, book) for kind in all_types() if _has(kind, words)]}
    return TemplateResponse(request, "portal/admin/instance_types.html", context)


def _has(kind: InstanceType, words: list[str]) -> bool:
    text = f"{kind.name} {kind.accelerator}".lower()
    return all(word in text for word in words)


def line(kind: InstanceType, book: PriceBook) -> Line:
    count = kind.gpus or kind.neuron
    each = _("%(count)d × %(name)s, %(memory)s each") % {
        "count": count, "name": kind.accelerator, "memory": gib(kind.gpu_memory_bytes)} if count else ""
    prices = tuple(_price(book, kind.name, region) for region in book.regions)
    return Line(kind, gib(kind.memory_bytes), each, _on_hyperpod(kind), prices)


def _on_hyperpod(kind: InstanceType) -> str:
    if kind.hyperpod and kind.too_small_for_hyperpod:
        return _("too few pods")
    return _("yes") if kind.hyperpod else _("no")


def _price(book: PriceBook, name: str, region: str) -> str:
    found = book.price(name, region)
    shown = money(found.on_demand) if found.on_demand is not None else "–"
    return f"{shown} ({_('spot')} {money(found.spot)})" if found.spot is not None else shown
