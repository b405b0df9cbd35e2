"""Fields of the deploy form that are more than one input: engine arguments, options of the place, variables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from endpoints.options_form import OptionsField, OptionsWidget
from models_catalog.argument_form import ArgumentsField, ArgumentsWidget

MOST_VARIABLES = 64


class PlainArgumentsWidget(ArgumentsWidget):
    """The arguments with the portal's own inputs; its page draws the groups."""

    single_line, several_lines, choices = forms.TextInput, forms.Textarea, forms.Select

    def as_data(self, name: str, values: Mapping[str, Any]) -> dict[str, str]:
        """What a browser would send for these arguments."""
        entered = self._split(dict(values))
        return {name: entered.rest, **{f"{name}__{option}": text for option, text in entered.typed.items()}}


class PlainArgumentsField(ArgumentsField):
    widget: Any = PlainArgumentsWidget


class PlainOptionsWidget(OptionsWidget):
    single_line, several_lines, choices = forms.TextInput, forms.Textarea, forms.Select

    def as_data(self, name: str, values: Mapping[str, Any]) -> dict[str, str]:
        """What a browser would send for these options."""
        entered = self._split(values)
        return {name: entered.rest, f"{name}__kind": self.kind,
                **{f"{name}__{path}": text for path, text in entered.typed.items()}}


class PlainOptionsField(OptionsField):
    widget: Any = PlainOptionsWidget


class VariablesField(forms.CharField):
    """NAME=value, one a line; cleans to a dict."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "max_length": 20_000, "strip": False, **kwargs})

    def clean(self, value: Any) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in filter(None, map(str.strip, str(super().clean(value) or "").splitlines())):
            name, equals, text = line.partition("=")
            if not equals or name.strip() in found:
                raise forms.ValidationError(_("Write each variable once, as NAME=value: %(line)s") % {"line": line[:80]})
            found[name.strip()] = text.strip()
        if len(found) > MOST_VARIABLES:
            raise forms.ValidationError(_("Give at most %(most)d variables.") % {"most": MOST_VARIABLES})
        return found


def variable_lines(variables: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}={value}" for name, value in sorted(variables.items()))


class NumbersField(forms.CharField):
    """Whole numbers with commas; cleans to a list."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "max_length": 400, **kwargs})

    def clean(self, value: Any) -> list[int]:
        parts = str(super().clean(value) or "").replace(",", " ").split()
        if not all(part.isdecimal() and len(part) < 4 for part in parts):
            raise forms.ValidationError(_("Write whole numbers with commas, such as 0, 1."))
        return [int(part) for part in parts]


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values say the same."""
    return json.dumps(left, sort_keys=True, default=str) == json.dumps(right, sort_keys=True, default=str)
