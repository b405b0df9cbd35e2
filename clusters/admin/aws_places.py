"""The part of a place's page that is about AWS: account and region, what AWS says of a HyperPod cluster, its groups."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from clusters import services
from clusters.hyperpod import MOST_INSTANCES, STATE_COLOURS
from clusters.instances import hourly_cost, instance_type
from clusters.instances.prices import money
from clusters.models import AwsAccount, AwsPlace, Cluster
from clusters.states import AWS_KINDS, COLOURS, ClusterKind, Reach, Through
from portal.tenancy.adminkit import ConfirmForm, actor_of, sheet, status_badge
from portal.tenancy.errors import Invalid

from .figures import gib
from .kubernetes import CHOICES, CONNECTION, Lines, PlaceForm, access_of, connection_cell

OF_ACCOUNT = ("account", "region", "hyperpod_name")
OF_SAGEMAKER = ("execution_role", "bucket", "kms_key", "subnets", "security_groups", "network_isolation")
LISTS = ("subnets", "security_groups")
FOUND = ("in_aws", "aws_state", "instance_groups", "features", "kinds")
STALE = timedelta(minutes=3)  # three looks
# Where people look at the same thing in AWS itself (not verified on AWS for other partitions than aws).
CONSOLES = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}


def side_of(place: Cluster) -> AwsPlace | None:
    """The AWS side that the page's row came with, None for a place without one."""
    return getattr(place, "aws", None) if place.pk else None


class AwsPlaceForm(PlaceForm):
    """A place with the fields of its AWS side, as far as they make sense for its kind."""

    account = forms.ModelChoiceField(
        AwsAccount.objects.none(), label=gettext_lazy("AWS account"), required=False, widget=UnfoldAdminSelectWidget(),
        empty_label=gettext_lazy("choose one"))
    region = forms.CharField(label=gettext_lazy("Region"), required=False, max_length=30,
                             widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "us-west-2"}),
                             help_text=gettext_lazy("Empty takes the account's own."))
    hyperpod_name = forms.CharField(
        label=gettext_lazy("HyperPod cluster"), required=False, max_length=63, widget=UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("Its name in AWS. “Import HyperPod clusters” on the list of places finds it for you."))
    execution_role = forms.CharField(
        label=gettext_lazy("Execution role"), required=False, max_length=200, widget=UnfoldAdminTextInputWidget(
            attrs={"placeholder": "arn:aws:iam::123456789012:role/endpoints"}),
        help_text=gettext_lazy("The role that endpoints run as: it reads the weights and the image."))
    bucket = forms.CharField(label=gettext_lazy("Bucket"), required=False, max_length=63,
                             widget=UnfoldAdminTextInputWidget(),
                             help_text=gettext_lazy("For data capture and answers of asynchronous endpoints."))
    kms_key = forms.CharField(label=gettext_lazy("KMS key of volumes"), required=False, max_length=300,
                              widget=UnfoldAdminTextInputWidget(), help_text=gettext_lazy("ID or ARN; empty uses AWS's."))
    subnets = Lines(label=gettext_lazy("Subnets"), required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
                    help_text=gettext_lazy("IDs, one a line. Give them with security groups to run inside your VPC."))
    security_groups = Lines(label=gettext_lazy("Security groups"), required=False,
                            widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}), help_text=gettext_lazy("IDs, one a line."))
    network_isolation = forms.BooleanField(
        label=gettext_lazy("No network for containers"), required=False, widget=UnfoldBooleanWidget(),
        help_text=gettext_lazy("The containers reach nothing, not even S3: weights must come with the model."))

    through_eks = forms.BooleanField(
        label=gettext_lazy("Through EKS, signed in to AWS"), required=False, widget=UnfoldBooleanWidget(),
        help_text=gettext_lazy("No credential is kept: each call's token is made for it. What is kept now is forgotten."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        side = side_of(self.instance)
        if "account" in self.fields:
            self.fields["account"].queryset = AwsAccount.objects.all()  # type: ignore[attr-defined]
        of_roads = {*CONNECTION, *CHOICES, *OF_ACCOUNT, *OF_SAGEMAKER, "through_eks"}
        for name in set(self.fields) & of_roads - set(fields_of(self.instance)):
            del self.fields[name]  # a field that the page does not show must not read as emptied
        if side is not None:
            kept = {name: getattr(side, name) for name in ("region", "hyperpod_name", *OF_SAGEMAKER)}
            lists = {name: "\n".join(getattr(side, name)) for name in LISTS}
            self.initial = {**self.initial, **kept, **lists, "account": side.account_id}


def fields_of(place: Cluster) -> tuple[str, ...]:
    """Which fields about connections a place's page has: all on the page that adds one."""
    if not place.pk:
        return (*CONNECTION, *CHOICES, *OF_ACCOUNT, *OF_SAGEMAKER)
    if place.kind == ClusterKind.SAGEMAKER:
        return ("account", "region", *OF_SAGEMAKER)
    if place.kind == ClusterKind.KUBERNETES:
        return (*CONNECTION, *CHOICES)
    if place.kind == ClusterKind.HYPERPOD:
        side, access = side_of(place), access_of(place)
        if side is None:
            return (*CONNECTION, *CHOICES, *OF_ACCOUNT)
        by_aws = access is not None and access.through == Through.EKS
        return (*(("through_agent",) if by_aws else (*CONNECTION, "through_eks")), *CHOICES, "account")
    return ()


def fieldsets_of(place: Cluster | None) -> tuple[Any, ...]:
    """The groups of fields about AWS; on the page that adds a place they show for their kinds only (admin.css)."""
    account, sagemaker = gettext_lazy("How the portal signs in to AWS"), gettext_lazy("SageMaker endpoints")
    if place is None:
        return ((account, {"fields": (("account", "region"), "hyperpod_name"), "classes": ("of-aws",)}),
                (sagemaker, {"fields": _sagemaker_rows(), "classes": ("of-sagemaker",)}))
    shown = fields_of(place)
    own = tuple(name for name in OF_ACCOUNT if name in shown)
    road = ("through_eks",) if "through_eks" in shown else ()
    if "through_agent" in shown and "kubeconfig" not in shown:  # else it stands with the rest of the connection
        road = ("through_agent",)
    groups = [(account, {"fields": (own, *road)})] if own else []
    if place.kind == ClusterKind.SAGEMAKER:
        groups.append((sagemaker, {"fields": _sagemaker_rows()}))
    return tuple(groups)


def _sagemaker_rows() -> tuple[Any, ...]:
    return ("execution_role", ("bucket", "kms_key"), ("subnets", "security_groups"), "network_isolation")


def save_side(request: HttpRequest, place: Cluster, form: AwsPlaceForm) -> None:
    """Hand what the form has on to the service. Raises PortalError with the field."""
    given = form.given(*OF_ACCOUNT, *OF_SAGEMAKER, "through_eks")
    needed = place.kind == ClusterKind.SAGEMAKER and side_of(place) is None
    if given and place.kind not in AWS_KINDS:
        raise Invalid(_("This kind of place is not in AWS: leave these fields empty."), field=next(iter(given)))
    for name in LISTS:
        if name in given:
            given[name] = given[name].split()
    if given or needed:
        services.set_up_aws(actor_of(request), place, given)


# What is shown.


def connections_cell(place: Cluster) -> SafeString | str:
    """For the list: the way to the Kubernetes API, and what AWS says."""
    side = side_of(place)
    if side is None:
        return connection_cell(place)
    if place.kind == ClusterKind.SAGEMAKER:
        return _reach_badge(side)
    return sheet("portal/admin/two_lines.html", first=connection_cell(place), second=state_badge(side))


def state_badge(side: AwsPlace, *, whole: bool = False) -> SafeString:
    """The state that AWS gives a cluster; the way to AWS where that is what fails."""
    if side.reach not in (Reach.OK, Reach.UNKNOWN) or not side.status:
        return _reach_badge(side, whole=whole)
    return status_badge(side.status, STATE_COLOURS.get(side.status, "warn"), seen=side.looked_at, stale=is_stale(side),
                        note=side.status_message if whole else "")


def _reach_badge(side: AwsPlace, *, whole: bool = False) -> SafeString:
    return status_badge(Reach(side.reach).label, COLOURS[side.reach], seen=side.looked_at, note=side.message if whole else "")


def is_stale(side: AwsPlace) -> bool:
    return side.looked_at is None or timezone.now() - side.looked_at > STALE


def found_in(place: Cluster, *, operates: bool) -> tuple[Any, ...]:
    """The group of what AWS says. AWS's words and names are for operators: they tell who signs in there, and how."""
    if side_of(place) is None:
        return ()
    more = ("instance_groups", "features") if place.kind == ClusterKind.HYPERPOD else ()
    return ((gettext_lazy("In AWS"), {"fields": ("in_aws" if operates else "aws_state", *more)}),)


def aws_cell(place: Cluster, *, names: bool = True) -> SafeString | str:
    """What AWS says of the place, why nothing can be deployed there, and where to look in AWS itself."""
    side = side_of(place)
    if side is None:
        return "–"
    sagemaker = place.kind == ClusterKind.SAGEMAKER
    return sheet("portal/admin/aws_state.html", side=side, console=console_of(side), why=services.why_not_deployable(place),
                 badge=_reach_badge(side, whole=names) if sagemaker else state_badge(side, whole=names), names=names,
                 complaints=side.status_message if sagemaker and names else "")


def groups_cell(place: Cluster) -> SafeString | str:
    side = side_of(place)
    if side is None or not side.instance_groups:
        return _("AWS names none yet.") if side else "–"
    return sheet("portal/admin/instance_groups.html", groups=[_group_line(side, one) for one in side.instance_groups])


@dataclass(frozen=True)
class GroupLine:
    """A group as its row of the table shows it; `cost` is of all its instances in an hour, by the price book."""

    group: dict[str, Any]
    badge: SafeString
    spot: bool
    hardware: str
    cost: str


def _group_line(side: AwsPlace, one: dict[str, Any]) -> GroupLine:
    name, state, spot = one.get("InstanceType", ""), one.get("Status") or "?", "Spot" in (one.get("CapacityRequirements") or {})
    cost = hourly_cost(name, side.region, one.get("CurrentCount") or 0, spot=spot)
    return GroupLine(one, status_badge(state, STATE_COLOURS.get(state, "warn")), spot, _hardware(name),
                     f"{money(cost.per_hour)} {cost.currency}" if cost else "–")


def _hardware(name: str) -> str:
    """The accelerators of one instance, and whether it has room for pods at all; "" for a type that nobody described."""
    kind = instance_type(name)
    count = (kind.gpus or kind.neuron) if kind else 0
    parts = []
    if kind and count:
        parts.append(_("%(count)d × %(name)s, %(memory)s each") % {
            "count": count, "name": kind.accelerator, "memory": gib(kind.gpu_memory_bytes)})
    if kind and kind.too_small_for_hyperpod:
        parts.append(_("too few pods for a model: %(pods)d") % {"pods": kind.pods})
    return " · ".join(parts)


def features_cell(place: Cluster) -> SafeString | str:
    side = side_of(place)
    return sheet("portal/admin/aws_features.html", features=side.features) if side and side.features else "–"


def console_of(side: AwsPlace) -> str:
    """The page of the AWS console about the same thing."""
    host = next((name for prefix, name in CONSOLES.items() if side.region.startswith(prefix)),
                f"{side.region}.console.aws.amazon.com")
    what = f"cluster-management/{side.hyperpod_name}" if side.hyperpod_name else "endpoints"
    return f"https://{host}/sagemaker/home?region={side.region}#/{what}"


def node_health(status: str, message: str = "") -> SafeString | str:
    """What AWS says of a machine."""
    return status_badge(status, STATE_COLOURS.get(status, "late"), note=message) if status else "–"


# What can be done.


class ResizeForm(ConfirmForm):
    """Which group, how many machines, and that shrinking takes machines away."""

    group = forms.ChoiceField(label=gettext_lazy("Instance group"), widget=UnfoldAdminSelectWidget())
    count = forms.IntegerField(
        label=gettext_lazy("Instances"), min_value=0, max_value=MOST_INSTANCES, widget=UnfoldAdminIntegerFieldWidget(),
        help_text=gettext_lazy("AWS bills each of them from its start to its end."))
    known = forms.BooleanField(
        label=gettext_lazy("I know that machines may be taken away"), required=False, widget=UnfoldBooleanWidget(),
        help_text=gettext_lazy("Needed for fewer instances than now: AWS chooses which ones end, and what runs there ends "
                               "with them."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        side = side_of(self.rows[0]) if self.rows else None
        self.counts = {one["InstanceGroupName"]: one.get("TargetCount") or 0 for one in (side.instance_groups if side else ())}
        self.fields["group"].choices = [  # type: ignore[attr-defined]
            (one["InstanceGroupName"], _group_choice(side, one)) for one in side.instance_groups] if side else []

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        fewer = found.get("count", 0) < self.counts.get(found.get("group", ""), 0)
        if fewer and "count" in found and not found.get("known"):
            self.add_error("known", _("Tick this: it makes the group smaller."))
        return found


def _group_choice(side: AwsPlace, one: dict[str, Any]) -> str:
    line = _group_line(side, {**one, "CurrentCount": 1})
    words = {"group": one["InstanceGroupName"], "n": one.get("TargetCount") or 0, "type": one.get("InstanceType", ""),
             "cost": line.cost}
    if line.cost == "–":
        return _("%(group)s: %(n)d × %(type)s now") % words
    return _("%(group)s: %(n)d × %(type)s now, %(cost)s an hour each") % words


class RepairForm(ConfirmForm):
    """Says which endpoints lose a replica before a machine is rebooted or replaced."""

    known = forms.BooleanField(label=gettext_lazy("I know what runs there"), widget=UnfoldBooleanWidget())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.is_bound:  # each cluster is asked once, when the page is shown
            self.fields["known"].help_text = " ".join(services.who_is_hurt(row) for row in self.rows[:MOST_ASKED])


MOST_ASKED = 10
