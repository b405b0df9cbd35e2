"""Tables to take away, for spreadsheets: no cell is taken for a formula, and CSV goes out line by line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# What XML can't hold, and what a cell can.
UNWRITABLE = {code: None for code in range(32) if chr(code) not in "\t\n\r"} | {0xFFFE: None, 0xFFFF: None}
LONGEST_CELL = 32_767
Cell = str | int | Decimal


def plain(cell: Cell) -> Cell:
    """Text that would be a formula gets an apostrophe, as people write it; figures stay."""
    if not isinstance(cell, str):
        return cell
    text = cell.translate(UNWRITABLE)[:LONGEST_CELL - 1]
    return f"'{text}" if text.lstrip(" ").startswith(FORMULAS) or text.startswith(FORMULAS) else text


class _Line:
    """A file whose content is the last line that was written to it."""

    def write(self, text: str) -> str:
        return text


def csv_answer(name: str, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> HttpResponseBase:
    writer = csv.writer(_Line())

    def lines() -> Iterator[str]:
        yield "\ufeff"  # so that spreadsheets read Chinese and Korean
        yield writer.writerow(head)
        for row in rows:
            yield writer.writerow([f"{cell:f}" if isinstance(cell, Decimal) else plain(cell) for cell in row])

    return _named(StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8"), f"{name}.csv")


def xlsx_answer(name: str, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> HttpResponseBase:
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


def _named(answer: HttpResponseBase, name: str) -> HttpResponseBase:
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
