"""The form of an invitation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.tenancy.roles import Role

from ..lists.forms import OnceForm


class InviteForm(OnceForm):
    mail = forms.CharField(label=_("Mail address"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off"}),
                           help_text=_("The mail has a link that works once, for 7 days, for this address only."))
    role = forms.ChoiceField(label=_("Role"), initial=Role.DEVELOPER, choices=Role.choices)

    def __init__(self, *args: Any, roles: Sequence[Role], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.is_bound:  # what is sent goes to the service whole, which refuses by the rows of that moment
            self.fields["role"].choices = [(role.value, role.label) for role in roles]  # type: ignore[attr-defined]
