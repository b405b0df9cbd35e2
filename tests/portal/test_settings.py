"""docs/settings.md names every setting that the code reads, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("portal", "clusters", "models_catalog", "endpoints")
READ = re.compile(r"""(?:env\.\w+|secret|environ\.get|getenv)\(\s*["']([A-Z][A-Z0-9_]+)["']""")
OURS = re.compile(r"\A(PORTAL_|DATABASE_URL\Z|CELERY_|FAULT_AT\Z)")


def names_in_code() -> set[str]:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return {name for path in files for name in READ.findall(path.read_text()) if OURS.match(name)}


def names_in_docs() -> set[str]:
    text = (ROOT / "docs" / "settings.md").read_text()
    return {name for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", text) if OURS.match(name)}


def test_every_setting_is_in_the_document_and_no_other() -> None:
    assert names_in_docs() == names_in_code()


@pytest.mark.parametrize("name", ["PORTAL_DATA_DIR", "PORTAL_SECRET_KEY", "DATABASE_URL", "CELERY_BROKER_URL",
                                  "PORTAL_GATEWAY_REFRESH_SECONDS", "PORTAL_AGENT_TOKEN"])
def test_the_search_finds_settings_of_each_shape(name: str) -> None:
    assert name in names_in_code()


def test_links_in_the_documents_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} → {target}"


def test_commands_in_the_readme_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = set(re.findall(r"\bmake ([\w-]+)\b", (ROOT / "README.md").read_text()))
    assert used <= targets
