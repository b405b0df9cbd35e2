"""Forms of limits: for whom or what, and how much of each quantity."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.tenancy.answers import pick
from portal.tenancy.models import ApiKey, Limit, LimitKind, Membership, Workspace

from ..lists.forms import OnceForm
from .rows import title_of, value_in_words

MOST_CHOICES = 200
SUBJECT = {LimitKind.MEMBER: "member", LimitKind.KEY: "key", LimitKind.MODEL: "model_name"}


class QuantitiesForm(OnceForm):
    """A field for each quantity; empty is no limit, 0 allows nothing."""

    def __init__(self, *args: Any, above: Limit | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in Limit.QUANTITIES:
            self.fields[name] = _quantity(name, getattr(above, name, None))

    @property
    def quantities(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in Limit.QUANTITIES}

    @property
    def calls(self) -> list[forms.BoundField]:
        return [self[name] for name in Limit.CALLS]

    @property
    def places(self) -> list[forms.BoundField]:
        return [self[name] for name in Limit.PLACES]


def _quantity(name: str, above: Any) -> forms.Field:
    """`above` is what the workspace itself may use, below which a limit has to be to matter."""
    hint = str(Limit._meta.get_field(name).help_text)  # type: ignore[union-attr]
    if above is not None:
        hint += " " + _("The workspace may use %(most)s in all.") % {"most": value_in_words(name, above)}
    if name == "money_per_month":
        return forms.DecimalField(label=title_of(name), required=False, min_value=0, decimal_places=2, max_digits=14,
                                  help_text=hint)
    return forms.IntegerField(label=title_of(name), required=False, min_value=0, help_text=hint)


class SubjectForm(QuantitiesForm):
    """A new limit of one kind: the field of its subject comes first."""

    member = forms.CharField(label=gettext_lazy("Member"), max_length=64, widget=forms.Select)
    key = forms.CharField(label=gettext_lazy("API key"), max_length=64, widget=forms.Select)
    model_name = forms.CharField(label=gettext_lazy("Model"), max_length=128, help_text=gettext_lazy(
        "The name that callers write as “model”."))

    def __init__(self, *args: Any, kind: LimitKind, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kind, self.workspace = kind, workspace
        for of_kind, name in SUBJECT.items():
            if of_kind != kind:
                del self.fields[name]
        if kind in (LimitKind.MEMBER, LimitKind.KEY):
            self.fields[SUBJECT[kind]].widget.choices = self._choices()

    def _choices(self) -> list[tuple[str, str]]:
        if self.kind == LimitKind.MEMBER:
            members = Membership.objects.filter(workspace=self.workspace).select_related("user").order_by("user__username")
            return [(str(row.uid), row.user.get_username()) for row in members[:MOST_CHOICES]]
        keys = ApiKey.objects.of_people().filter(workspace=self.workspace, revoked_at=None).order_by("-id")
        return [(str(row.uid), str(row)) for row in keys[:MOST_CHOICES]]

    @property
    def subject(self) -> forms.BoundField | None:
        return self[SUBJECT[self.kind]] if self.kind in SUBJECT else None

    def named(self) -> dict[str, Any]:
        """The rows that the form names. Raises Invalid, with its field, for what is not the workspace's."""
        if self.kind == LimitKind.MEMBER:
            members = Membership.objects.filter(workspace=self.workspace).select_related("user")
            return {"member": pick(members, self.cleaned_data["member"], field="member", what=_("member"),
                                   by="user__username").user}
        if self.kind == LimitKind.KEY:
            keys = ApiKey.objects.filter(workspace=self.workspace)
            return {"key": pick(keys, self.cleaned_data["key"], field="key", what=_("key"), by="public_id")}
        return {"model_name": self.cleaned_data["model_name"]} if self.kind == LimitKind.MODEL else {}
