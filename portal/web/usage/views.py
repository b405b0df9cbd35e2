from __future__ import annotations

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from endpoints.services.usage import COUNTS, Line
from endpoints.services.usage_days import GPUS_OF, Cells, Sums, cells_of, sums_of
from portal.tenancy.errors import Invalid

from ..lists.address import asked as asked_for
from ..lists.address import query_with
from ..lists.spans import TITLES, Span
from ..lists.tables import Cell, csv_answer, xlsx_answer
from ..visit import Visit, page
from .ask import FIGURES, FILTERS, SUBJECTS, Asked, asking, read, subjects, title_of
from .figures import cash, gpu_hours, value_of
from .shown import Shown, shown_of

FORMATS = {"csv": csv_answer, "xlsx": xlsx_answer}


@require_safe
@page
def usage(visit: Visit) -> HttpResponse:
    """Filters are in the address: `span` (`from`, `to`), `by`, `of`, and names of a model, endpoint, key or member."""
    try:
        wanted = read(visit)
    except Invalid as error:
        return _page(visit, _this_month(visit), Sums(), error)
    try:
        return _page(visit, wanted, sums_of(asking(visit, wanted, by_month=wanted.span.is_long)))
    except Invalid as error:
        return _page(visit, wanted, Sums(), error)


def _this_month(visit: Visit) -> Asked:
    today = timezone.now().date()
    return Asked(Span("custom", today.replace(day=1), today, today), "model", "", {})


def _page(visit: Visit, wanted: Asked, sums: Sums, error: Invalid | None = None) -> HttpResponse:
    shown, narrows = shown_of(wanted, sums, visit.workspace), wanted.by in FILTERS
    rows = shown.rows(lambda name: query_with(visit.request, **{wanted.by: name, "by": "day"}) if narrows else "")
    return visit.render(
        "web/usage/usage.html", area="usage", status=error.status if error else 200, error=error, shown=shown, rows=rows,
        title=shown.title(), chart=shown.chart() if rows else None, span=wanted.span, total=sums.total,
        tokens=int(value_of(sums.total, "tokens")), cost=cash(sums.total.cost), left=_left(shown), cut=shown.cut,
        limit=shown.words(shown.limit, is_round=True) if shown.limit else "", narrows=narrows, kept=_kept(wanted),
        gpu_hours=gpu_hours(sums.total.gpu_seconds if sums.has_gpus else None), files=_files(visit),
        **_choices(visit, wanted, shown))


def _choices(visit: Visit, wanted: Asked, shown: Shown) -> dict[str, object]:
    """What else the page can show, each with its address."""
    request = visit.request
    return {
        "subject": title_of(wanted.by, wanted.span), "figure_title": FIGURES[shown.figure],
        "spans": [(name, title, name == wanted.span.name) for name, title in TITLES.items()],
        "subjects": [(title_of(name, wanted.span), query_with(request, by=name), name == wanted.by)
                     for name in subjects(visit)],
        "figures": [(title, query_with(request, of=name), name == shown.figure) for name, title in FIGURES.items()],
        "filters": [(SUBJECTS[name], value, query_with(request, **{name: None})) for name, value in wanted.filters.items()],
    }


def _left(shown: Shown) -> dict[str, object] | None:
    """What is expected, in words."""
    left = shown.forecast
    if left is None or not left.days_left:
        return None
    return {"total": shown.words(left.total), "reached": left.reaches(shown.limit) if shown.limit else None}


def _kept(wanted: Asked) -> list[tuple[str, str]]:
    """What the form of the span must carry on."""
    return [("by", wanted.by), *([("of", wanted.figure)] if wanted.figure else []), *wanted.filters.items()]


def _files(visit: Visit) -> list[tuple[str, str]]:
    address = visit.url("usage-table")
    return [(name.upper(), address + query_with(visit.request, format=name)) for name in FORMATS]


@require_safe
@page
def table(visit: Visit) -> HttpResponse:
    """The same with a line for each day and subject, as `format` csv or xlsx. Raises Invalid for too many lines."""
    wanted = read(visit)
    ask = asking(visit, wanted)
    cells = cells_of(ask)
    name = f"usage-{visit.workspace.slug if visit.workspace else 'all'}-{wanted.span.first}-{wanted.span.last}"
    answer = FORMATS.get(asked_for(visit.request, "format"), csv_answer)
    return answer(name, ["day", wanted.grouped_by, *COUNTS[:-1], "cost", "gpu_hours"],
                  _cells(cells, has_gpus=ask.has_gpus and wanted.grouped_by in GPUS_OF))


def _cells(cells: Cells, *, has_gpus: bool) -> list[list[Cell]]:
    """GPU hours stay empty where none belong to the subjects."""
    lines = sorted(cells.items(), key=lambda item: (item[0][0], item[1].names[0]))
    return [[day.isoformat(), *_figures(line), line.gpu_hours if has_gpus else ""] for (day, _subject), line in lines]


def _figures(line: Line) -> list[Cell]:
    return [line.names[0], *line.counts[:-1], line.cost]
