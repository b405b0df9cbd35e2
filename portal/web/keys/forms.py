"""The form of a new key."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from endpoints.models import Endpoint, Route
from portal.tenancy.models import Workspace
from portal.tenancy.roles import Scope

from ..lists.forms import OnceForm

MOST_NAMES = 40  # that are offered; others can be typed
LONGEST_NAME = 128
LASTS = (("7", _("7 days")), ("30", _("30 days")), ("90", _("90 days")), ("365", _("1 year")),
         ("until", _("until the day below")), ("", _("no end")))


def model_names(workspace: Workspace) -> list[str]:
    """What programs may write as “model” in this workspace, as far as it is offered."""
    names: set[str] = set()
    for rows in (Endpoint.objects, Route.objects):
        found = rows.filter(workspace=workspace).order_by("public_name").values_list("public_name", flat=True)
        names.update(found[:MOST_NAMES])
    return sorted(names)[:MOST_NAMES]


class KeyForm(OnceForm):
    name = forms.CharField(label=_("Name"), max_length=100, help_text=_(
        "What uses it, so that you know it again: “nightly batch”, “docs search”."))
    scopes = forms.MultipleChoiceField(label=_("It may"), choices=Scope.choices, initial=[Scope.INFERENCE],
                                       widget=forms.CheckboxSelectMultiple)
    model_names = forms.MultipleChoiceField(label=_("Models"), required=False, widget=forms.CheckboxSelectMultiple)
    other_names = forms.CharField(label=_("Model names"), required=False, max_length=2000, help_text=_(
        "Separated by commas. A key without a name may call every model of the workspace."))
    lasts = forms.ChoiceField(label=_("It ends after"), choices=LASTS, initial="90", required=False)
    until = forms.DateField(label=_("Last day"), required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, *args: Any, names: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["model_names"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]

    def clean_other_names(self) -> list[str]:
        names = [name.strip() for name in self.cleaned_data["other_names"].split(",") if name.strip()]
        if any(len(name) > LONGEST_NAME for name in names):
            raise forms.ValidationError(_("A model name has at most 128 characters."))
        return names

    def clean(self) -> dict[str, Any] | None:
        if self.cleaned_data.get("lasts") == "until" and not self.cleaned_data.get("until") and "until" not in self.errors:
            self.add_error("until", _("Choose the last day."))
        return super().clean()

    @property
    def names(self) -> list[str]:
        """The names that the key may call; none means all."""
        return list(dict.fromkeys([*self.cleaned_data["model_names"], *self.cleaned_data["other_names"]]))

    @property
    def expires_at(self) -> datetime | None:
        """The end of the last day, UTC, or some days from now."""
        lasts = self.cleaned_data["lasts"]
        if lasts == "until":
            return datetime.combine(self.cleaned_data["until"] + timedelta(days=1), time(), UTC)
        return timezone.now() + timedelta(days=int(lasts)) if lasts else None
