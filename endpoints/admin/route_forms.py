from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.http import HttpRequest
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from endpoints.models import Canary, Endpoint, Route, RouteTarget
from endpoints.services.route_wish import MOST_TARGETS, TRIAL_FIELDS
from endpoints.services.routes import changed_meanwhile
from endpoints.states import Wish

from .forms import GenerationForm

Ends = list[tuple[Any, str]]


def ends_of(route: Route) -> Ends:
    """The endpoints of the route's workspace, as choices with their place and state."""
    rows = (Endpoint.objects.filter(workspace=route.workspace_id).exclude(wish=Wish.DELETED).order_by("name")
            .select_related("cluster"))
    return [(row.pk, f"{row.name} · {row.cluster.name} · {row.get_status_display()}") for row in rows]


class RouteForm(forms.ModelForm[Route]):
    """The name and how sessions go; the endpoints stand in the rows below, the first one here on the add page."""

    endpoint = forms.ModelChoiceField(
        label=_("Endpoint"), queryset=Endpoint.objects.none(),
        widget=AutocompleteSelect(RouteTarget._meta.get_field("endpoint"), admin.site),
        help_text=_("It gets all calls at first. Others are added on the next page."))
    read_generation = forms.IntegerField(required=False, widget=forms.HiddenInput())

    class Meta:
        model = Route
        fields = ("workspace", "public_name", "is_sticky", "description")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["read_generation"] = self.instance.generation
            del self.fields["endpoint"]

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        endpoint, workspace = found.get("endpoint"), found.get("workspace")
        if endpoint is not None and workspace is not None and endpoint.workspace_id != workspace.pk:
            self.add_error("endpoint", _now("%(name)s is an endpoint of another workspace.") % {"name": endpoint.name})
        if self.instance.pk and found.get("read_generation") != self.instance.generation:
            self.add_error(None, changed_meanwhile(self.instance))
        return found


class TargetForm(forms.ModelForm[RouteTarget]):
    """`ends` are the choices that all rows share, read once."""

    ends: Ends = []

    class Meta:
        model = RouteTarget
        fields = ("endpoint", "role", "weight", "position")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "position" in self.fields:
            self.fields["position"].required = False
        if "endpoint" in self.fields:
            self.fields["endpoint"].widget.choices = [("", "---------"), *self.ends]


class TargetInline(TabularInline):  # type: ignore[misc]  # unfold has no types
    """The endpoints behind a route with their shares, in the order in which those that stand in are tried."""

    model = RouteTarget
    form = TargetForm
    extra = 0
    max_num = MOST_TARGETS
    ordering = ("position", "id")
    ordering_field = "position"
    hide_ordering_field = True
    hide_title = True
    verbose_name = _("endpoint")
    verbose_name_plural = _("Endpoints: weights count relative to each other; drag the rows to order those that stand in")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "endpoint":
            kwargs |= {"queryset": Endpoint.objects.all().visible_to(request.user), "widget": UnfoldAdminSelectWidget()}
            return db_field.formfield(**kwargs)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_formset(self, request: HttpRequest, obj: Route | None = None, **kwargs: Any) -> Any:
        ends = ends_of(obj) if obj else []
        formset = super().get_formset(request, obj, form=type("TargetForm", (TargetForm,), {"ends": ends}), **kwargs)
        if "endpoint" in formset.form.base_fields:  # without the buttons to add and change endpoints from here
            box = formset.form.base_fields["endpoint"].widget
            box.can_add_related = box.can_change_related = box.can_delete_related = box.can_view_related = False
        return formset

    def get_queryset(self, request: HttpRequest) -> Any:
        return RouteTarget.objects.filter(route__in=Route.objects.all().visible_to(request.user)).select_related("endpoint")

    def _may_change(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("endpoints.change_route"))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("endpoints.view_route")) or self._may_change(request)

    has_add_permission = has_change_permission = has_delete_permission = _may_change


class PercentagesField(forms.CharField):
    """Whole percentages with commas between them."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        parts = [part.strip().removesuffix("%").strip() for part in str(value or "").split(",") if part.strip()]
        if not all(part.isascii() and part.isdecimal() and len(part) <= 3 for part in parts):
            raise forms.ValidationError(_now("Write percentages with commas between them, such as 10, 25, 50."))
        return [int(part) for part in parts]

    def validate(self, value: Any) -> None:
        """The service does, with all the rest of the route."""


class CanaryForm(GenerationForm):
    """What an endpoint on trial gets, and what sends it back. An empty limit does not count."""

    endpoint = forms.ModelChoiceField(label=_("Endpoint"), queryset=Endpoint.objects.none(), widget=UnfoldAdminSelectWidget())
    percent = forms.IntegerField(label=_("Share in %"), min_value=1, max_value=99, widget=UnfoldAdminIntegerFieldWidget())
    steps = PercentagesField(label=_("Next steps in %"), required=False, max_length=60, widget=UnfoldAdminTextInputWidget(),
                             help_text=_("Such as 10, 25, 50: taken one after the other while no limit is broken; 100 promotes "
                                         "it. Empty: its share stays."))
    step_minutes = forms.IntegerField(label=_("Minutes a step"), min_value=1, widget=UnfoldAdminIntegerFieldWidget())
    min_calls = forms.IntegerField(label=_("Calls before it is judged"), min_value=1, widget=UnfoldAdminIntegerFieldWidget(),
                                   help_text=_("Within the minutes looked at; fewer say nothing."))
    window_minutes = forms.IntegerField(label=_("Minutes looked at"), min_value=1, max_value=60,
                                        widget=UnfoldAdminIntegerFieldWidget())
    max_error_percent = forms.FloatField(
        label=_("Most errors in %"), required=False, min_value=0, max_value=100, widget=UnfoldAdminDecimalFieldWidget(),
        help_text=_("Failed calls of its own, whatever the others do. This limit and those below: empty does not count."))
    max_error_points = forms.FloatField(label=_("Most errors above the others, in points"), required=False, min_value=0,
                                        max_value=100, widget=UnfoldAdminDecimalFieldWidget(), help_text=_(
                                            "5: it may fail 7 % of its calls where the others fail 2 %."))
    max_first_byte_ms = forms.IntegerField(label=_("Longest time to first token in ms (p95)"), required=False, min_value=1,
                                           widget=UnfoldAdminIntegerFieldWidget())
    max_first_byte_ratio = forms.FloatField(
        label=_("Longest time to first token against the others (p95), times"), required=False, min_value=1, max_value=100,
        widget=UnfoldAdminDecimalFieldWidget(), help_text=_("2: it may take twice as long as the others."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = Canary.objects.filter(route__in=[row.pk for row in self.rows]).first() or Canary()
        for name in TRIAL_FIELDS:
            self.fields[name].initial = getattr(known, name)
        if self.rows:
            field = self.fields["endpoint"]
            assert isinstance(field, forms.ModelChoiceField)
            field.queryset = Endpoint.objects.filter(workspace__in={row.workspace_id for row in self.rows})
            field.choices = [("", "---------"), *(end for row in self.rows[:1] for end in ends_of(row))]
            field.initial = known.endpoint_id


class RestoreForm(GenerationForm):
    version = forms.TypedChoiceField(label=_("Version"), coerce=int, widget=UnfoldAdminSelectWidget())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["version"]
        assert isinstance(field, forms.TypedChoiceField)
        if len(self.rows) == 1:
            earlier = self.rows[0].changes.exclude(generation=self.rows[0].generation)[:50]
            field.choices = [(one.generation, f"v{one.generation} · {one.message[:100]}") for one in earlier]
        if self.request is not None:
            field.initial = self.request.GET.get("version")
