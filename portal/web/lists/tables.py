"""Tables to take away, for spreadsheets, in which no cell is taken for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal

from django.http import HttpResponse

from portal.tenancy.text import as_cell

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
Cell = str | int | Decimal


def plain(cell: Cell) -> Cell:
    """Text as text; figures stay."""
    return as_cell(cell) if isinstance(cell, str) else cell


def csv_answer(name: str, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> HttpResponse:
    """All of it at once, so `rows` must be bounded: an answer in pieces would hold a thread for as long as it is read."""
    text = io.StringIO("\ufeff", newline="")  # the mark lets spreadsheets read Chinese and Korean
    text.seek(0, io.SEEK_END)
    writer = csv.writer(text)
    writer.writerow(head)
    writer.writerows([f"{cell:f}" if isinstance(cell, Decimal) else plain(cell) for cell in row] for row in rows)
    return _named(HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8"), f"{name}.csv")


def xlsx_answer(name: str, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> HttpResponse:
    """One sheet, with the head kept in view. Text is written as text, figures as figures."""
    # It takes 15 MB, which processes that export nothing need not have.
    from openpyxl import Workbook  # type: ignore[import-untyped]

    book = Workbook(write_only=True)
    sheet = book.create_sheet(name[:31])
    sheet.freeze_panes = "A2"
    sheet.append(list(head))
    for row in rows:
        sheet.append([plain(cell) for cell in row])
    file = io.BytesIO()
    book.save(file)
    return _named(HttpResponse(file.getvalue(), content_type=XLSX), f"{name}.xlsx")


def _named(answer: HttpResponse, name: str) -> HttpResponse:
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
