"""Form fields of the catalogue: memory in GiB, and a secret that is only ever written."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from models_catalog.models import Artifact, Profile

GIB = 1024**3


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


class BytesFormMixin:
    """A figure that nobody touched keeps its exact bytes, though the page shows two decimals."""

    def clean(self) -> dict[str, Any] | None:
        cleaned: dict[str, Any] | None = super().clean()  # type: ignore[misc]
        values = self.cleaned_data if cleaned is None else cleaned  # type: ignore[attr-defined]
        for name, field in self.fields.items():  # type: ignore[attr-defined]
            if isinstance(field, GibField) and name in values and name not in self.changed_data:  # type: ignore[attr-defined]
                values[name] = self.get_initial_for_field(field, name)  # type: ignore[attr-defined]
        return values


class ProfileForm(BytesFormMixin, forms.ModelForm[Profile]):
    memory_bytes = GibField(label=_("memory, GiB"))
    gpu_memory_bytes = GibField(label=_("memory on each GPU, GiB"), required=False, initial=0,
                                help_text=_("0 takes whole GPUs."))

    class Meta:
        model = Profile
        fields = "__all__"  # noqa: DJ007  the admin page lists them

    def clean_gpu_memory_bytes(self) -> int:
        return self.cleaned_data["gpu_memory_bytes"] or 0


class ArtifactForm(forms.ModelForm[Artifact]):
    new_token = forms.CharField(
        label=_("token"), required=False, max_length=500,
        help_text=_("For gated models. Leave empty to keep the one that is stored; it is never shown."),
        widget=UnfoldAdminTextInputWidget(attrs={"type": "password", "autocomplete": "new-password"}))

    class Meta:
        model = Artifact
        fields = ("kind", "location", "revision")
