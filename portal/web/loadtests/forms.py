"""The form of a new run."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from endpoints.loadtests.states import Mode
from endpoints.services.loadtest_bounds import MOST_OUTPUT, MOST_PROMPT, MOST_SPREAD, Ask

from ..lists.forms import OnceForm


def _number(label: Any, most: int, *, least: int = 1, required: bool = True, **more: Any) -> forms.IntegerField:
    """Bounds that the service knows better are only hints here: it says what to enter."""
    widget = forms.NumberInput(attrs={"min": least, "max": most, "inputmode": "numeric"})
    return forms.IntegerField(label=label, required=required, widget=widget, **more)


class RunForm(OnceForm):
    """What a person asks for; the names of its fields are those of an Ask."""

    model = forms.CharField(label=_("Model name for callers"), max_length=128, widget=forms.TextInput(
        attrs={"list": "names", "autocomplete": "off", "spellcheck": "false"}), help_text=_(
        "The name that programs write as “model”: of an endpoint, or of a route."))
    mode = forms.ChoiceField(label=_("Load"), choices=Mode.choices, initial=Mode.RATE, widget=forms.RadioSelect)
    rate = forms.DecimalField(label=_("Calls a second"), initial=2, max_digits=8, decimal_places=2, required=False,
                              widget=forms.NumberInput(attrs={"min": "0.1", "step": "0.1", "inputmode": "decimal"}))
    callers = _number(_("Callers at a time"), 1000, initial=4, required=False)
    seconds = _number(_("Duration in seconds"), 600, least=5, initial=60, help_text=_("Up to 600, ten minutes."))
    prompt_tokens = _number(_("Prompt in tokens"), MOST_PROMPT, initial=256, help_text=_(
        "Plain words, about one token each, drawn anew for each call. The real number is reported."))
    prompt_spread = _number(_("Spread in %"), MOST_SPREAD, least=0, initial=0, required=False)
    output_tokens = _number(_("Answer in tokens"), MOST_OUTPUT, initial=128, help_text=_(
        "The engine is asked to go on to this length."))
    output_spread = _number(_("Spread in %"), MOST_SPREAD, least=0, initial=0, required=False)
    goal_first_ms = _number(_("First token in ms, p95"), 600_000, required=False)
    goal_between_ms = _number(_("Between tokens in ms, p95"), 600_000, required=False)
    goal_error_percent = forms.DecimalField(label=_("Failed calls in %"), max_digits=5, decimal_places=2, required=False,
                                            widget=forms.NumberInput(attrs={"min": "0", "max": "100", "step": "0.1"}))
    notes = forms.CharField(label=_("Notes"), max_length=1000, required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def clean(self) -> dict[str, Any] | None:
        values = super().clean() or {}
        wanted = "callers" if values.get("mode") == Mode.CALLERS else "rate"
        if values.get(wanted) is None and wanted not in self.errors:
            self.add_error(wanted, _("Enter a number."))
        return values

    @property
    def ask(self) -> Ask:
        """What was asked, of a form that is valid."""
        known = Ask.__dataclass_fields__
        kept = {name: value for name, value in self.cleaned_data.items() if name in known and value is not None}
        return Ask(**kept)


class NotesForm(forms.Form):
    notes = forms.CharField(label=_("Notes"), max_length=1000, required=False, widget=forms.Textarea(attrs={"rows": 3}))
