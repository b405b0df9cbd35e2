from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from endpoints.models import Endpoint, Revision
from endpoints.options import object_kind
from endpoints.options_form import OptionsField, check_form
from models_catalog.argument_form import ArgumentsField
from models_catalog.models import Profile
from portal.tenancy.adminkit import ConfirmForm, actor_of


def profile_field(required: bool = True) -> forms.ModelChoiceField[Profile]:
    widget = AutocompleteSelect(Revision._meta.get_field("profile"), admin.site)
    return forms.ModelChoiceField(
        label=_("Profile"), queryset=Profile.objects.none(), required=required, widget=widget,
        help_text=_("The tried way to serve a model: engine, arguments and what each replica needs."))


class EndpointForm(forms.ModelForm[Endpoint]):
    """What a person wishes: a deployment on the add page, a new revision or another size on the change page.

    `read_generation` is that of the page as it was opened, so that a save over somebody else's change is refused.
    """

    profile = profile_field()
    arguments = ArgumentsField(label=_("Engine arguments"), help_text=_("On top of the profile's."))
    options = OptionsField()
    note = forms.CharField(label=_("Note"), required=False, max_length=200, widget=UnfoldAdminTextInputWidget(),
                           help_text=_("Why; it stays with the revision."))
    deploy_now = forms.BooleanField(label=_("Deploy now"), required=False, initial=True, widget=UnfoldBooleanWidget(),
                                    help_text=_("Without the tick the endpoint is made, but stays stopped."))
    read_generation = forms.IntegerField(required=False, widget=forms.HiddenInput())
    operates = False  # whether an operator fills it in; the page says so

    class Meta:
        model = Endpoint
        fields = ("workspace", "cluster", "name", "public_name", "replicas", "affinity")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "public_name" in self.fields:
            self.fields["public_name"].required = False
            self.fields["public_name"].help_text = _("What programs write as “model”; empty takes the name.")
        if "replicas" in self.fields:
            self.fields["replicas"].widget.attrs["min"] = 1
        wanted = self.instance.wanted if self.instance.pk else None
        if wanted is not None:
            self.initial.update({"profile": wanted.profile_id, "arguments": wanted.spec.get("arguments", {}),
                             "options": wanted.spec.get("options", {}), "read_generation": self.instance.generation})
            if isinstance(options := self.fields.get("options"), OptionsField):
                options.take_kind(object_kind(self.instance.cluster, wanted.spec))
            if isinstance(arguments := self.fields.get("arguments"), ArgumentsField):
                arguments.take_table(wanted.profile.release)
                arguments.help_text = _("All of them, as the wanted revision has them. A change makes a "
                                                       "new revision, which replaces the replicas one by one.")


    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        if "options" in self.fields:
            cluster = self.instance.cluster if self.instance.pk else found.get("cluster")
            before = self.instance.wanted if self.instance.pk else None
            check_form(self, cluster, found.get("profile"), before, operates=self.operates)
        return found


class GenerationForm(ConfirmForm):
    """Remembers which state of a single row the person decided on."""

    generation = forms.IntegerField(required=False, widget=forms.HiddenInput())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(self.rows) == 1:
            self.fields["generation"].initial = self.rows[0].generation


class ScaleForm(GenerationForm):
    replicas = forms.IntegerField(label=_("Replicas"), min_value=1, widget=UnfoldAdminIntegerFieldWidget(),
                                  help_text=_("To run none, stop the endpoint."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.rows:
            self.fields["replicas"].initial = self.rows[0].replicas


class UpdateForm(GenerationForm):
    profile = profile_field(required=False)
    arguments = ArgumentsField(label=_("Engine arguments"), help_text=_(
        "Changes on top of what runs. Empty changes nothing; null in the JSON takes one away."))
    options = OptionsField(label=_("Options of the place"), help_text=_("All of them, as the wanted revision has them."))
    note = forms.CharField(label=_("Note"), required=False, max_length=200, widget=UnfoldAdminTextInputWidget())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["profile"]
        assert isinstance(field, forms.ModelChoiceField)
        assert self.request is not None, "the kit gives every form its request"
        field.queryset = Profile.objects.all().visible_to(self.request.user)
        field.help_text = _("Empty keeps the one that is wanted now.")
        wanted = self.rows[0].wanted if len(self.rows) == 1 else None
        if wanted is not None and isinstance(arguments := self.fields["arguments"], ArgumentsField):
            arguments.take_table(wanted.profile.release)
        if wanted is None or not (kind := object_kind(self.rows[0].cluster, wanted.spec)):
            del self.fields["options"]  # of several endpoints each has its own
        elif isinstance(options := self.fields["options"], OptionsField):
            options.take_kind(kind)
            options.initial = wanted.spec.get("options", {})

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        if "options" in self.fields:
            row = self.rows[0]
            assert self.request is not None, "the kit gives every form its request"
            check_form(self, row.cluster, found.get("profile") or row.wanted.profile, row.wanted,
                       operates=actor_of(self.request).operates)
        return found


class RollBackForm(GenerationForm):
    number = forms.TypedChoiceField(label=_("Revision"), coerce=int, widget=UnfoldAdminSelectWidget())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        numbers = Revision.objects.filter(endpoint__in=[row.pk for row in self.rows]).exclude(
            pk__in=[row.wanted_id for row in self.rows])
        field = self.fields["number"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = [(n, f"r{n}") for n in sorted(set(numbers.values_list("number", flat=True)), reverse=True)[:50]]
        if self.request is not None:
            field.initial = self.request.GET.get("number")
