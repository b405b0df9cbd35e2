"""How one cell of a bulk file becomes a value and back. A wrong cell raises ValueError with a sentence."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from import_export.widgets import Widget


class Text(Widget):  # type: ignore[misc]  # import_export has no types
    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> str:
        if isinstance(value, dict | list | bool):
            raise ValueError(_("This takes text."))
        return "" if value is None else str(value).strip()

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> Any:
        return "" if value is None else str(value)


class Whole(Widget):  # type: ignore[misc]
    """A whole number, or none where the cell is empty."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> int | None:
        text = "" if value is None else str(value).strip()
        if not text:
            return None
        if isinstance(value, bool) or not text.isascii() or not text.isdigit() or len(text) > 18:
            raise ValueError(_("“%(text)s” is no whole number.") % {"text": text[:40]})
        return int(text)

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> Any:
        return value


class Truth(Widget):  # type: ignore[misc]
    WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> bool:
        text = "" if value is None else str(value).strip().lower()
        if text not in self.WORDS:
            raise ValueError(_("“%(text)s” is neither true nor false.") % {"text": text[:40]})
        return self.WORDS[text]

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> Any:
        return value


class Structure(Widget):  # type: ignore[misc]
    """An object or a list: JSON text in CSV, the thing itself in JSON."""

    def __init__(self, empty: type[dict[str, Any]] | type[list[Any]]) -> None:
        super().__init__()
        self.empty = empty

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> Any:
        if value is None or value == "":
            return self.empty()
        try:
            found = json.loads(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError(_("This is no JSON: %(text)s") % {"text": str(value)[:60]}) from error
        if not isinstance(found, self.empty):
            wanted = _("an object") if self.empty is dict else _("a list")
            raise ValueError(_("This takes %(wanted)s.") % {"wanted": wanted})
        return found

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> Any:
        return value


class ByShortName(Widget):  # type: ignore[misc]
    """Another row, named by its short name and looked up among what the person may see."""

    def __init__(self, rows: QuerySet[Any], *, optional: bool = False) -> None:
        super().__init__()
        self.rows = rows
        self.optional = optional

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> Model | None:
        slug = "" if value is None else str(value).strip()
        if not slug and self.optional:
            return None
        found: Model | None = self.rows.filter(slug=slug).first()
        if found is None:
            raise ValueError(_("There is no %(thing)s “%(name)s”.")
                             % {"thing": self.rows.model._meta.verbose_name, "name": slug[:63]})
        return found

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> Any:
        return "" if value is None else value.slug
