"""Engine arguments as a form: a typed field for each option of a release's own table, and JSON for the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django import forms
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from .engine_args.table import Option, Table, load_table, newest_table
from .models import EngineRelease
from .option_words import NOT_SET_HERE, gone, grouped

JOINT = "__"
_WHOLE, _NUMBER = re.compile(r"-?[0-9]{1,18}"), re.compile(r"-?(?:[0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})")


@dataclass(frozen=True)
class Entered:
    """What came from a page: texts of the typed fields by option, and the JSON text of the rest."""

    typed: Mapping[str, str] = field(default_factory=dict)
    rest: str = ""


def shown_value(option: Option, value: Any) -> str:
    """A value as its field shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def read_value(option: Option, text: str) -> Any:
    """The value that the text stands for; what doesn't fit stays text, which the catalogue refuses in its own words."""
    if option.many:
        return [_read_one(option, part) for part in re.split(r"[,\s]+", text) if part]
    return _read_one(option, text)


def _read_one(option: Option, text: str) -> Any:
    if option.type in ("flag", "switch"):
        return {"true": True, "false": False}.get(text, text)
    if option.type in ("integer", "tokens") and _WHOLE.fullmatch(text):
        return int(text)
    if option.type == "number" and _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    if option.type == "object":
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


class ArgumentsWidget(forms.Widget):
    """Groups that open, a field each, a box to search in them, and a box for JSON."""

    template_name = "models_catalog/arguments.html"
    single_line: type[forms.Widget] = UnfoldAdminTextInputWidget
    several_lines: type[forms.Widget] = UnfoldAdminTextareaWidget
    choices: type[forms.Widget] = UnfoldAdminSelectWidget
    table: Table | None = None

    def use_required_attribute(self, initial: Any) -> bool:
        return False

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Entered:
        options = self.table.options if self.table else {}
        found = {option: str(data.get(f"{name}{JOINT}{option}", "")).strip() for option in options}
        return Entered({option: text for option, text in found.items() if text}, str(data.get(name, "")))

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return not any(key == name or key.startswith(f"{name}{JOINT}") for key in data)

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        entered = value if isinstance(value, Entered) else self._split(value)
        box = self.several_lines(attrs={"rows": 3, "spellcheck": "false", "class": "mono"})
        identity = (attrs or {}).get("id", f"id_{name}")
        context = super().get_context(name, None, attrs)
        return {**context, "groups": self._groups(name, entered), "box": box.render(name, entered.rest, {"id": identity}),
                "rest": entered.rest.strip(),
                "table": self.table, "unavailable": self._unavailable()}

    def _split(self, value: Any) -> Entered:
        """Stored arguments, or their JSON text, as fields; what has no field stays JSON."""
        try:
            stored = json.loads(value) if isinstance(value, str) and value.strip() else value or {}
        except ValueError:
            return Entered(rest=str(value))
        if not isinstance(stored, dict):
            return Entered(rest=str(value))
        options = self.table.options if self.table else {}
        typed = {name: shown_value(options[name], one) for name, one in stored.items() if name in options and one is not None}
        rest = {name: one for name, one in stored.items() if name not in typed}
        return Entered(typed, json.dumps(rest, indent=1, ensure_ascii=False) if rest else "")

    def _groups(self, name: str, entered: Entered) -> list[dict[str, Any]]:
        options = self.table.options if self.table else {}
        return [{"label": label, "options": [self._field(name, options[one], entered) for one in members],
                 "filled": sum(one in entered.typed for one in members)}
                for label, members in grouped(options, self.table.engine if self.table else "vllm")]

    def _field(self, name: str, option: Option, entered: Entered) -> dict[str, Any]:
        text = entered.typed.get(option.name, "")
        rendered = self.input_of(name, option, text) if text else _empty_input(type(self), name, option)
        low, high = option.range
        limits = _now("%(low)s to %(high)s") % {"low": low, "high": high} if low is not None and high is not None else ""
        return {"option": option, "id": f"id_{name}{JOINT}{option.name}", "input": rendered, "limits": limits}

    def _unavailable(self) -> list[tuple[str, str]]:
        engine, refused = (self.table.engine, self.table.refused) if self.table else ("vllm", frozenset[str]())
        explained = {name: why for name, why in NOT_SET_HERE.items() if name in refused}
        return [(name, str(why)) for name, why in sorted({**explained, **gone(engine, refused)}.items())]

    @classmethod
    def input_of(cls, name: str, option: Option, text: str) -> SafeString:
        """The option's own field with this text in it."""
        field = f"{name}{JOINT}{option.name}"
        return cls._input(option).render(field, text, {"id": f"id_{field}"})

    @classmethod
    def _input(cls, option: Option) -> forms.Widget:
        choices = option.choices or (
            ("true", "false") if option.type == "flag" else ("true",) if option.type == "switch" else ())
        if choices and not option.many:
            # A choice that is not in the list was typed as JSON before and must not get lost: the list has an empty first.
            found = cls.choices()
            found.choices = [("", "–"), *((one, one) for one in choices)]  # type: ignore[attr-defined]
            return found
        hint = {"object": '{"…": …}', "tokens": "8192, 8k, 8K"}.get(option.type, "")
        mode = "numeric" if option.type == "integer" and not option.many else "decimal" if option.type == "number" else "text"
        return cls.single_line(attrs={
            "placeholder": "1, 2, 4" if option.many else hint, "inputmode": mode, "autocomplete": "off", "spellcheck": "false"})


@lru_cache(maxsize=2048)
def _empty_input(kind: type[ArgumentsWidget], name: str, option: Option) -> SafeString:
    """Made once: a template for each of seventy options would take a third of the page's time."""
    return kind.input_of(name, option, "")


class ArgumentsField(forms.Field):
    """Cleans to a dict of names and values; `take_table` chooses the release whose options it shows."""

    widget: Any = ArgumentsWidget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, **kwargs})
        self.take_table(None)

    def take_table(self, release: EngineRelease | None) -> None:
        """The options of this release; without one, or without its table, those of the newest that we know."""
        self.widget.table = load_table(release.kind, release.version) if release else newest_table()

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return json.dumps(value, indent=1, ensure_ascii=False)
        return value

    def clean(self, value: Any) -> dict[str, Any]:
        entered = value if isinstance(value, Entered) else Entered(rest=str(value or ""))
        found = self._rest(entered.rest)
        options = self.widget.table.options if self.widget.table else {}
        for name, text in entered.typed.items():
            if name in found:
                raise forms.ValidationError(_("“%(name)s” has a field and stands in the JSON too."), params={"name": name})
            found[name] = read_value(options[name], text)
        return found

    def _rest(self, text: str) -> dict[str, Any]:
        if not text.strip():
            return {}
        try:
            found = json.loads(text)
        except ValueError as error:
            raise forms.ValidationError(_("This is not JSON: write one object, such as {}.")) from error
        if not isinstance(found, dict):
            raise forms.ValidationError(_("Write one JSON object, such as {}."))
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return self.clean(data) != (initial or {})
        except forms.ValidationError:
            return True
