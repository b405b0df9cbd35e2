"""Reads the catalogues under locale/ as gettext's tools write them, and extracts the messages of the sources anew."""

from __future__ import annotations

import ast
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.test import override_settings

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "locale"
WITH_WORDS = ("portal", "clusters", "models_catalog", "endpoints", "templates", "static")
FORMATS = re.compile(r"%\(\w+\)[-#0 +]*\d*(?:\.\d+)?[a-zA-Z]|%%|\{\w*\}")


@dataclass
class Message:
    """One entry. `forms` are its translations: one in languages without a plural, such as ours."""

    flags: set[str] = field(default_factory=set)
    context: str = ""
    text: str = ""
    plural: str = ""
    forms: list[str] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, str]:
        return self.context, self.text, self.plural

    @property
    def formats(self) -> list[str]:
        """The placeholders of the English text; with a plural, those of the plural, which names the number."""
        return formats(self.plural or self.text)


def formats(text: str) -> list[str]:
    return sorted(FORMATS.findall(text))


def read(path: Path) -> list[Message]:
    """Every message of a catalogue but its head."""
    blocks = re.split(r"\n\s*\n", path.read_text())
    return [message for message in map(message_of, blocks) if message.text]


def message_of(block: str) -> Message:
    message, parts = Message(), {"msgctxt": "", "msgid": "", "msgid_plural": ""}
    name = ""
    for line in block.splitlines():
        if line.startswith("#,"):
            message.flags |= {flag.strip() for flag in line[2:].split(",")}
        start, quote, rest = line.partition('"')
        if line.startswith("#") or not quote:
            continue
        name = start.strip() or name
        parts[name] = parts.get(name, "") + ast.literal_eval(quote + rest)
    message.context, message.text, message.plural = parts["msgctxt"], parts["msgid"], parts["msgid_plural"]
    message.forms = [text for name, text in parts.items() if name.startswith("msgstr")]
    return message


def copy_sources(into: Path) -> None:
    """makemessages writes beside what it reads, so it gets a copy."""
    def others(folder: str, names: list[str]) -> Iterator[str]:
        for name in names:
            if not (Path(folder, name).is_dir() or name.endswith((".py", ".html", ".txt", ".js"))) or name == "__pycache__":
                yield name

    for name in WITH_WORDS:
        shutil.copytree(ROOT / name, into / name, ignore=lambda folder, names: set(others(folder, names)))
    shutil.rmtree(into / "static" / "vendor", ignore_errors=True)
    (into / "locale").mkdir()


def extract(folder: Path, domain: str) -> list[Message]:
    """What the sources say now, for one domain (django or djangojs)."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        with override_settings(LOCALE_PATHS=[str(folder / "locale")]):
            call_command("makemessages", locale=["ko"], domain=domain, verbosity=0, no_location=True)
    finally:
        os.chdir(here)
    made = folder / "locale" / "ko" / "LC_MESSAGES" / f"{domain}.po"
    return read(made) if made.exists() else []


def languages() -> list[str]:
    """Folders under locale/: one for each language but English."""
    return [code.replace("hans", "Hans").replace("-", "_") for code, _name in settings.LANGUAGES if code != "en"]
