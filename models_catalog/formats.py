"""File formats of bulk import and export: CSV that no spreadsheet obeys, and JSON with real values."""

from __future__ import annotations

import csv
import json
from typing import Any

import tablib  # type: ignore[import-untyped]
from import_export.formats import base_formats

# What makes a spreadsheet take a cell for a formula (reliability.md, T42).
OBEYED = ("=", "+", "-", "@", "\t", "\r")

# Stands where a row of a JSON file lacks a member that another row has: the field keeps its value.
ABSENT = object()


def guarded(cell: Any) -> str:
    """A cell as text that stays text in a spreadsheet."""
    if isinstance(cell, dict | list):
        return json.dumps(cell, ensure_ascii=False)
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(OBEYED) or text.startswith("'") else text


def unguarded(cell: Any) -> Any:
    """The cell without the guard that `guarded` put there."""
    return cell[1:] if isinstance(cell, str) and cell[:1] == "'" and cell[1:].startswith((*OBEYED, "'")) else cell


class GuardedCsv(base_formats.CSV):  # type: ignore[misc]  # import_export has no types
    CONTENT_TYPE = "text/csv; charset=utf-8"

    def export_data(self, dataset: tablib.Dataset, **kwargs: Any) -> str:
        safe = tablib.Dataset(*(tuple(guarded(cell) for cell in row) for row in dataset), headers=dataset.headers)
        return str(safe.export("csv", quoting=csv.QUOTE_ALL, **kwargs))

    def create_dataset(self, in_stream: Any, **kwargs: Any) -> tablib.Dataset:
        text = in_stream.decode("utf-8-sig") if isinstance(in_stream, bytes) else in_stream.removeprefix("\ufeff")
        read = super().create_dataset(text, **kwargs)
        return tablib.Dataset(*(tuple(unguarded(cell) for cell in row) for row in read), headers=read.headers)


class PlainJson(base_formats.JSON):  # type: ignore[misc]
    CONTENT_TYPE = "application/json"

    def export_data(self, dataset: tablib.Dataset, **kwargs: Any) -> str:
        return json.dumps(dataset.dict, ensure_ascii=False, indent=1) + "\n"

    def create_dataset(self, in_stream: Any, **kwargs: Any) -> tablib.Dataset:
        """A list of objects; a member that a row lacks becomes ABSENT there. Raises ValueError."""
        rows = json.loads(in_stream)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError("the file must be a list of objects")
        headers = list(dict.fromkeys(name for row in rows for name in row))
        return tablib.Dataset(*(tuple(row.get(name, ABSENT) for name in headers) for row in rows), headers=headers or None)
