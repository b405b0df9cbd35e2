"""docs/faults.md has every row that must be injected, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FAULTS = (1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 34, 35,
          36, 37)
THREATS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 26, 27, 28, 29, 34, 35, 36,
           37, 38, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 62, 63, 64)
REQUIRED = [f"F{number}" for number in FAULTS] + [f"T{number}" for number in THREATS]


def table() -> dict[str, list[str]]:
    """The tests that each row names."""
    lines = re.findall(r"^\| ([FT]\d+) \|(.*)\|$", (ROOT / "docs" / "faults.md").read_text(), re.MULTILINE)
    return {row: re.findall(r"`([\w/]+\.py::\w+)`", rest) for row, rest in lines}


@cache
def names_in(file: str) -> frozenset[str]:
    path = ROOT / "tests" / file
    tree = ast.parse(path.read_text()) if path.is_file() else ast.Module([], [])
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                     and node.name.startswith("test_"))


def test_every_required_row_is_in_the_table_once_and_in_order() -> None:
    assert list(table()) == REQUIRED


def test_every_row_names_tests_and_each_of_them_exists() -> None:
    named = table()
    assert [row for row, tests in named.items() if not tests] == []
    places = [test.split("::") for tests in named.values() for test in tests]
    missing = [f"{file}::{name}" for file, name in places if name not in names_in(file)]
    assert missing == []


def test_the_search_would_notice_a_test_that_is_gone() -> None:
    assert "test_a_message_delivered_twice_acts_once" in names_in("endpoints/test_faults.py")
    assert "test_that_never_was" not in names_in("endpoints/test_faults.py")
    assert names_in("endpoints/test_never_was.py") == frozenset()
