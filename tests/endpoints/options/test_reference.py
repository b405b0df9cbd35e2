"""The tables of options in docs/ are those that the forms show."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command

from endpoints.options.fields import GROUPS, fields_of
from endpoints.options.reference import BLOCK, filled_in

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGES = [DOCS / "hyperpod.md", DOCS / "sagemaker-options.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_are_of_now(page: Path) -> None:
    """Mend with: manage.py option_reference docs/hyperpod.md docs/sagemaker-options.md"""
    text = page.read_text()
    assert filled_in(text) == text


def test_every_kind_has_its_table_with_every_field() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    blocks = {found["kind"]: found[0] for found in BLOCK.finditer(text)}
    assert set(blocks) == set(GROUPS)
    for kind, block in blocks.items():
        assert all(f"| `{field.path}` |" in block for field in fields_of(kind))


def test_the_command_writes_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- options SageMaker -->\nOUTDATED\n<!-- end -->\nafter\n")
    call_command("option_reference", str(page))
    text = page.read_text()
    assert "OUTDATED" not in text
    assert "| `InstanceType` | text | Type of the instances. |" in text
    assert text.startswith("before\n")
    assert text.endswith("<!-- end -->\nafter\n")
