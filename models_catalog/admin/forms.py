"""Form fields of the catalogue: memory in GiB, and a secret that is only ever written."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django import forms
from django.forms.fields import InvalidJSONInput
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from clusters.states import ClusterKind
from clusters.units import GIB
from models_catalog.argument_form import ArgumentsField
from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile

from .placement_form import PARTS, PlacementFields, initial_of


class GibField(forms.DecimalField):
    """Bytes in the row, GiB with two decimals on the page."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("min_value", 0)
        kwargs.setdefault("max_value", 1_000_000)
        kwargs.setdefault("widget", UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}))
        super().__init__(**kwargs)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, int):
            return (Decimal(value) / GIB).quantize(Decimal("0.01"), ROUND_HALF_UP).normalize().__format__("f")
        return value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return str(self.prepare_value("" if initial is None else initial)) != str("" if data is None else data).strip()

    def clean(self, value: Any) -> Any:
        number = super().clean(value)
        return None if number is None else int(number * GIB)


class PrettyJson(forms.JSONField):
    """JSON as a person writes it: one member a line, letters of all languages as they are."""

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, InvalidJSONInput):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2 if value else None)


def json_box(value_lines: int = 6) -> UnfoldAdminTextareaWidget:
    return UnfoldAdminTextareaWidget(attrs={"rows": value_lines, "spellcheck": "false", "style": "font-family:monospace"})


class BytesFormMixin:
    """A figure that nobody touched keeps its exact bytes, though the page shows two decimals."""

    def clean(self) -> dict[str, Any] | None:
        cleaned: dict[str, Any] | None = super().clean()  # type: ignore[misc]
        values = self.cleaned_data if cleaned is None else cleaned  # type: ignore[attr-defined]
        for name, field in self.fields.items():  # type: ignore[attr-defined]
            if isinstance(field, GibField) and name in values and name not in self.changed_data:  # type: ignore[attr-defined]
                values[name] = self.get_initial_for_field(field, name)  # type: ignore[attr-defined]
        return values


class ProfileForm(BytesFormMixin, PlacementFields, forms.ModelForm[Profile]):
    arguments = ArgumentsField(label=_("Engine arguments"))
    places = forms.MultipleChoiceField(label=_("Kinds of place"), required=False, choices=ClusterKind.choices,
                                       widget=UnfoldAdminCheckboxSelectMultipleWidget, help_text=_("None means any."))
    memory_bytes = GibField(label=_("Memory, GiB"))
    gpu_memory_bytes = GibField(label=_("Memory on each GPU, GiB"), required=False, initial=0,
                                help_text=_("0 takes whole GPUs."))

    class Meta:
        model = Profile
        exclude = ("placement",)  # noqa: DJ006  the admin page lists the others, and the placement in its parts

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial.update(initial_of(self.instance.placement))
        arguments = self.fields.get("arguments")
        if isinstance(arguments, ArgumentsField) and self.instance.pk:
            arguments.take_table(self.instance.release)

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        said = self.cleaned_data
        self.instance.placement = {name: said[name] for name in PARTS if said.get(name)}
        return cleaned

    def clean_gpu_memory_bytes(self) -> int:
        return self.cleaned_data["gpu_memory_bytes"] or 0


class CatalogModelForm(BytesFormMixin, forms.ModelForm[CatalogModel]):
    weights_bytes = GibField(label=_("Weights, GiB"), required=False)

    class Meta:
        model = CatalogModel
        fields = "__all__"  # noqa: DJ007  the admin page lists them


class ArtifactForm(forms.ModelForm[Artifact]):
    new_token = forms.CharField(
        label=_("token"), required=False, max_length=500,
        help_text=_("For gated models. Leave empty to keep the one that is stored; it is never shown."),
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}))

    class Meta:
        model = Artifact
        fields = ("kind", "location", "revision")


class ReleaseForm(forms.ModelForm[EngineRelease]):
    user = forms.CharField(
        label=_("registry's user"), required=False, max_length=200,
        help_text=_("None where anybody may pull the image. Empty it to forget the login."),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}))
    password = forms.CharField(
        label=_("registry's password"), required=False, max_length=8192, strip=False,
        help_text=_("Leave empty to keep the one that is stored; it is never shown. Another registry needs another one."),
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}))

    class Meta:
        model = EngineRelease
        fields = ("slug", "kind", "version", "device", "image", "enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("user", self.instance.registry_user)

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        user, password = self.cleaned_data.get("user"), self.cleaned_data.get("password")
        if password and not user:
            self.add_error("user", _("A login is a user and a password."))
        if user and not password and "user" in self.changed_data:
            self.add_error("password", _("Enter the password of this user."))
        return cleaned
