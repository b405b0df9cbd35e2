"""Options of one kind of place as a form: groups of fields by the shipped schemas, and JSON for what has no field."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.urls import reverse_lazy
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from clusters.models import Cluster
from endpoints.models import Revision
from endpoints.options import Problem, is_reserved, object_kind, problems_of, reserved_problems, spec_for
from endpoints.options.case import value_at
from endpoints.options.fields import GROUPS, Field, Group, fields_of, kind_of_field, limits_of, schema_of
from models_catalog.models import Profile

JOINT, KIND = "__", "kind"
WHOLE, NUMBER = re.compile(r"-?[0-9]{1,18}"), re.compile(r"-?(?:[0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})")


@dataclass(frozen=True)
class Entered:
    """What came from a page: texts of the fields by path, and the JSON text of the rest. `kind` says of which object."""

    kind: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)
    rest: str = ""


def shown_value(value: Any) -> str:
    """A value as its field shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and all(isinstance(one, str) and one and not re.search(r"[,\s]", one) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read_value(how: str, text: str) -> Any:
    """The value that the text stands for; what doesn't fit stays text, which the check refuses. Raises ValueError: no JSON."""
    if how == "switch":
        return {"true": True, "false": False}.get(text, text)
    if how == "integer" and WHOLE.fullmatch(text):
        return int(text)
    if how == "number" and NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    if how == "json" or (how == "list" and text.startswith("[")):
        return json.loads(text)
    return [part for part in re.split(r"[,\s]+", text) if part] if how == "list" else text


def put(options: dict[str, Any], path: str, value: Any) -> bool:
    """Set the value at the path, making what holds it. False where something stands there already."""
    *above, last = path.split(".")
    where: Any = options
    for name in above:
        where = where.setdefault(name, {})
        if not isinstance(where, dict):
            return False
    return where.setdefault(last, value) is value


def take(options: dict[str, Any], path: str) -> None:
    """Remove the value at the path, and what holds nothing any more."""
    name, _dot, rest = path.partition(".")
    if rest:
        take(options[name], rest)
    if not rest or not options[name]:
        del options[name]


class OptionsWidget(forms.Widget):
    """Groups that open, a field each, and a box for JSON; `kind` is empty where a place has no options of its own."""

    template_name = "endpoints/options.html"
    single_line: type[forms.Widget] = UnfoldAdminTextInputWidget
    several_lines: type[forms.Widget] = UnfoldAdminTextareaWidget
    choices: type[forms.Widget] = UnfoldAdminSelectWidget
    kind = ""
    problems: tuple[Problem, ...] = ()

    def use_required_attribute(self, initial: Any) -> bool:
        return False

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Entered:
        kind = str(data.get(f"{name}{JOINT}{KIND}", ""))
        found = {one.path: str(data.get(f"{name}{JOINT}{one.path}", "")).strip() for one in fields_of(kind)}
        return Entered(kind, {path: text for path, text in found.items() if text}, str(data.get(name, "")))

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return not any(key == name or key.startswith(f"{name}{JOINT}") for key in data)

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        entered = value if isinstance(value, Entered) else self._split(value)
        kind = self.kind or entered.kind
        identity = (attrs or {}).get("id", f"id_{name}")
        told = self._told(kind)
        groups = [self._group(name, kind, group, entered, told) for group in GROUPS.get(kind, ())]
        return {**super().get_context(name, None, attrs), "kind": kind, "kind_name": f"{name}{JOINT}{KIND}", "groups": groups,
                "box": self._area(8).render(name, entered.rest, {"id": identity}), "rest": entered.rest.strip(),
                "url": reverse_lazy("admin:endpoints_endpoint_options")}

    def _split(self, value: Any) -> Entered:
        """Stored options as fields; what has no field stays JSON."""
        rest = copy.deepcopy(dict(value or {}))
        typed = {}
        for one in fields_of(self.kind):
            stored = value_at(rest, one.path)
            if stored is not None:
                typed[one.path] = shown_value(stored)
                take(rest, one.path)
        return Entered(self.kind, typed, json.dumps(rest, indent=1, ensure_ascii=False) if rest else "")

    def _told(self, kind: str) -> dict[str, list[str]]:
        """By path of a field what is wrong there: in it, in the JSON that it holds, or missing in what it is part of."""
        told: dict[str, list[str]] = {}
        for problem in self.problems:
            own = [one.path for one in fields_of(kind) if f"{problem.path}.".startswith(f"{one.path}.")]
            parts = [one.path for one in fields_of(kind) if one.path.startswith(f"{problem.path}.")]
            for path in (own or parts)[:1]:
                told.setdefault(path, []).append(problem.message)
        return told

    def _group(
        self, name: str, kind: str, group: Group, entered: Entered, told: Mapping[str, list[str]],
    ) -> dict[str, Any]:
        shown = [self._field(name, kind, one, entered, told.get(one.path, [])) for one in group.fields]
        filled = sum(one["text"] != "" for one in shown)
        return {"label": group.label, "rare": group.rare, "fields": shown, "filled": filled,
                "open": filled or any(one["problems"] for one in shown)}

    def _field(self, name: str, kind: str, one: Field, entered: Entered, problems: list[str]) -> dict[str, Any]:
        whole, text, how = f"{name}{JOINT}{one.path}", entered.typed.get(one.path, ""), kind_of_field(kind, one)
        low, high = limits_of(kind, one.path)
        described = " ".join([*(f"id_{whole}_wrong{index}" for index in range(len(problems))), f"id_{whole}_help"])
        attrs = {"id": f"id_{whole}", "aria-describedby": described, **({"aria-invalid": "true"} if problems else {})}
        return {"path": one.path, "parts": one.path.split("."), "help": one.help, "reserved": is_reserved(kind, one.path),
                "id": f"id_{whole}", "text": text, "problems": problems, "wide": how == "json",
                "input": self._input(kind, one, how).render(whole, text, attrs),
                "default": shown_value(schema_of(kind, one.path).get("default", "")),
                "limits": _now("%(low)s to %(high)s") % {"low": low, "high": high} if low is not None else ""}

    def _area(self, rows: int, **attrs: str) -> forms.Widget:
        return self.several_lines(attrs={"rows": rows, "spellcheck": "false", "class": "mono", **attrs})

    def _input(self, kind: str, one: Field, how: str) -> forms.Widget:
        choices = one.choices or tuple(schema_of(kind, one.path).get("enum", ())) if how == "choice" else ()
        if how == "switch":
            choices = ("true", "false")
        if choices:
            found = self.choices()
            found.choices = [("", "–"), *((name, name) for name in choices)]  # type: ignore[attr-defined]
            return found
        if how == "json":
            return self._area(2, placeholder=one.example)
        mode = {"integer": "numeric", "number": "decimal"}.get(how, "text")
        return self.single_line(attrs={
            "placeholder": one.example, "inputmode": mode, "autocomplete": "off", "spellcheck": "false"})



class OptionsField(forms.Field):
    """Cleans to a dict of options in the upstream's names and nesting."""

    widget: Any = OptionsWidget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "label": _("In its own names"), **kwargs})

    def take_kind(self, kind: str) -> None:
        """Whose fields are shown; "" shows none."""
        self.widget.kind = kind

    def clean(self, value: Any) -> dict[str, Any]:
        entered = value if isinstance(value, Entered) else Entered(rest=json.dumps(value or {}))
        found, problems = _rest(entered.rest), []
        for one in fields_of(entered.kind):
            if one.path in entered.typed:
                try:
                    fits = put(found, one.path, read_value(kind_of_field(entered.kind, one), entered.typed[one.path]))
                except ValueError:
                    problems.append(Problem(one.path, _now("This is not JSON.")))
                    continue
                if not fits:
                    problems.append(Problem(one.path, _now("This stands in the JSON below too.")))
        if problems:
            raise forms.ValidationError(self.told(problems))
        return found

    def told(self, problems: Iterable[Problem]) -> list[str]:
        """Show each problem at its field; the sentences for the top, where all stand with their path."""
        self.widget.problems = tuple(problems)
        return [str(problem) for problem in self.widget.problems]

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return self.clean(data) != (initial or {})
        except forms.ValidationError:
            return True


def _rest(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise forms.ValidationError(_("This is not JSON: write one object, such as {}.")) from error
    if not isinstance(found, dict):
        raise forms.ValidationError(_("Write one JSON object, such as {}."))
    return found


def check_form(
    form: forms.BaseForm, cluster: Cluster | None, profile: Profile | None, before: Revision | None, *, operates: bool,
) -> None:
    """Hold a form's options against place, profile and who asks, and say what is wrong at each field."""
    options = form.fields["options"]
    assert isinstance(options, OptionsField)
    if cluster is None or profile is None or "options" not in form.cleaned_data:
        return
    spec = spec_for(profile)
    options.take_kind(object_kind(cluster, spec))
    given = form.cleaned_data["options"]
    if given or options.widget.kind:
        found = problems_of(cluster, spec, given)
        if not found and not operates:
            there = before.spec if before is not None else {}
            spec["governance"] = there.get("governance", {})
            found = reserved_problems(cluster, spec, given, there.get("options", {}))
        for told in options.told(found):
            form.add_error("options", told)
