"""Text from clusters, engines and agents is input: cap it, strip what a terminal or a log would obey."""

from __future__ import annotations

import hashlib
import re
import unicodedata
import uuid

from django.utils.translation import gettext as _

ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]")
NAME_CHARS = 39
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
# What the XML of a workbook can't hold, and what a cell can.
UNWRITABLE = {code: None for code in range(32) if chr(code) not in "\t\n\r"} | {0xFFFE: None, 0xFFFF: None}
LONGEST_CELL = 32_767


def clean(text: object, limit: int = 4096) -> str:
    """Printable text of at most `limit` characters; newlines and tabs stay. The end is kept, causes stand there."""
    kept = str(text)
    if not kept.isprintable():  # Else it has none of all that, which most text is.
        plain = ANSI.sub("", kept)
        kept = "".join(c for c in plain if c in "\n\t" or unicodedata.category(c)[0] != "C")
    return kept if len(kept) <= limit else "…" + kept[-(limit - 1):]


def one_line(text: object, limit: int) -> str:
    """Text for a line among others, of which it must not look like two."""
    return " ".join(clean(text).split())[:limit]


def printable(text: str) -> str:
    """Text for people: normalised (NFC), without control characters. Raises ValueError where it has some."""
    if any(unicodedata.category(character)[0] == "C" for character in text):
        raise ValueError(_("Control characters are not allowed."))
    return unicodedata.normalize("NFC", text).strip()


def slug_of(text: str) -> str:
    """Lower-case ASCII letters, digits and single hyphens, starting with a letter."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")
    return slug if slug[:1].isalpha() else f"m-{slug}".rstrip("-")


def external_name(name: str, uid: uuid.UUID, cut: int = NAME_CHARS) -> str:
    """The deterministic name of what we create outside: slug cut to 39, a hyphen, 10 hex of the uid's digest.

    The digest rather than the uid itself, because the first hex digits of a UUIDv7 are its time.
    """
    digest = hashlib.sha256(uid.bytes).hexdigest()[:10]
    return f"{slug_of(name)[:cut].rstrip('-')}-{digest}"


def as_cell(text: str) -> str:
    """Text for a cell of a spreadsheet: what would be a formula gets an apostrophe, as people write it."""
    text = text.translate(UNWRITABLE)[:LONGEST_CELL - 1]
    return f"'{text}" if text.lstrip(" ").startswith(FORMULAS) or text.startswith(FORMULAS) else text
