"""Routes for what was used, and for what tokens cost (docs/usage.md)."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema, Status
from pydantic import AwareDatetime, Field, StringConstraints

from clusters.instances import price_book
from clusters.models import Cluster
from endpoints.alerts import month_of
from endpoints.models import GpuHour, TokenPrice, UsageHour
from endpoints.services import token_prices, usage
from models_catalog.models import CatalogModel
from portal.tenancy.actor import Actor
from portal.tenancy.answers import find, pick
from portal.tenancy.auth import ApiRequest
from portal.tenancy.errors import Invalid
from portal.tenancy.models import ApiKey
from portal.tenancy.pagination import ClosedQuery, Page, PageIn, page_of
from portal.tenancy.schemas import Closed, Printable, Ref

router = Router(tags=["usage"])
MOST_GROUPS = 3
CSV = "text/csv; charset=utf-8"
Name = Annotated[str, StringConstraints(max_length=150)]
Amount = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=13, decimal_places=6)]


class UsageIn(ClosedQuery):
    """Of calls that ended from `from` until before `to`, by whole hours; without them of this month, UTC.

    `group` names one to three of hour, day, month, workspace, member, key, endpoint, model, address, separated by
    commas. The others narrow: `workspace` by short name, `key` by uid, the rest by the name that it had.
    """

    group: Annotated[str, StringConstraints(max_length=60)] = "day"
    begin: AwareDatetime | None = Field(None, alias="from")
    end: AwareDatetime | None = Field(None, alias="to")
    workspace: Name = ""
    member: Name = ""
    key: UUID | None = None
    endpoint: Name = ""
    model: Name = ""
    format: Annotated[str, StringConstraints(pattern="^(json|csv)?$")] = ""


class CountsOut(Schema):
    """`refused` are not among `requests`. `cost` is decimal text, in the answer's currency.

    `gpu_hours` is decimal text too, of ready replicas, called or not. GPUs belong to endpoints: it is null where the groups
    or the filters have a member, a key or an address.
    """

    requests: int
    errors: int
    refused: int
    partial: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost: str
    gpu_hours: str | None


class UsageLineOut(CountsOut):
    """`by` has the name of each group; "" is what was not known."""

    by: dict[str, str]


class UsageOut(Schema):
    begin: datetime = Field(serialization_alias="from")
    end: datetime = Field(serialization_alias="to")
    currency: str
    items: list[UsageLineOut]
    total: CountsOut


class PriceIn(Closed):
    """For a million tokens. Either a `model` of the catalogue, or a `workspace` and its `public_name` for callers.

    With a `place` only there. Without `cached` cached tokens cost what others cost; without `valid_from` from now on.
    """

    model: Ref | None = None
    workspace: Ref | None = None
    public_name: Annotated[Printable, StringConstraints(max_length=128)] = ""
    place: Ref | None = None
    prompt: Amount
    completion: Amount
    cached: Amount | None = None
    valid_from: AwareDatetime | None = None


class PriceOut(Schema):
    """Prices are decimal text, for a million tokens."""

    uid: UUID
    model: str | None = Field(None, alias="model.slug")
    workspace: str | None = Field(None, alias="workspace.slug")
    public_name: str
    place: str | None = Field(None, alias="cluster.name")
    currency: str
    prompt: Decimal
    completion: Decimal
    cached: Decimal | None
    valid_from: datetime

    @staticmethod
    def resolve_currency(_obj: TokenPrice) -> str:
        return price_book().currency


class PricePage(Schema):
    items: list[PriceOut]
    next: str | None


@router.get("/usage", response=UsageOut, by_alias=True, summary="Sum up what was used, as JSON or CSV")
def get_usage(request: ApiRequest, wanted: Query[UsageIn]) -> UsageOut | HttpResponse:
    groups = _groups(wanted.group)
    begin, end = _window(wanted.begin, wanted.end)
    within = {"hour__gte": begin, "hour__lt": end}
    rows, gpus = _rows(request.auth, wanted).filter(**within), _gpus(request.auth, wanted, **within)
    lines = usage.usage_by(rows, groups, gpus)
    has_gpus = gpus is not None and not {*groups} & {*usage.NOT_OF_GPUS}
    if wanted.format == "csv" or (not wanted.format and _prefers_csv(request)):
        answer = HttpResponse(usage.as_csv(groups, lines, has_gpus=has_gpus), content_type=CSV)
        answer["Content-Disposition"] = f'attachment; filename="usage-{begin:%Y-%m-%d}.csv"'
        return answer
    items = [UsageLineOut(by=dict(zip(groups, line.names, strict=True)), **_counts(line, has_gpus)) for line in lines]
    total = CountsOut(**_counts(usage.total_of(rows, gpus), gpus is not None))
    return UsageOut(begin=begin, end=end, currency=price_book().currency, items=items, total=total)


def _groups(text: str) -> list[str]:
    groups = text.split(",")
    if not 1 <= len(groups) <= MOST_GROUPS or len({*groups}) < len(groups) or not {*groups} <= {*usage.GROUPS}:
        raise Invalid(_("Name one to three of %(names)s.") % {"names": ", ".join(usage.GROUPS)}, field="group")
    return groups


def _window(begin: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    end = end or timezone.now()
    begin = begin or month_of(end)
    if not begin < end <= begin + timedelta(days=usage.KEPT_DAYS + 1):
        raise Invalid(_("“from” must lie before “to”, by 13 months at most."), field="from")
    return begin, end


def _rows(actor: Actor, wanted: UsageIn) -> QuerySet[UsageHour]:
    """Those of the caller's workspaces; unknown names find nothing."""
    rows = UsageHour.objects.filter(workspace_id__in=_workspaces(actor, wanted))
    if wanted.key:
        keys = ApiKey.objects.filter(uid=wanted.key, workspace__in=actor.scope())
        rows = rows.filter(key_id__in=list(keys.values_list("pk", flat=True)))
    named = {"member_name": wanted.member, "endpoint_name": wanted.endpoint, "model_name": wanted.model}
    return rows.filter(**{column: name for column, name in named.items() if name})


def _gpus(actor: Actor, wanted: UsageIn, **within: datetime) -> QuerySet[GpuHour] | None:
    """GPU hours of the same; None where a member or a key is asked for, to whom no GPUs belong."""
    if wanted.member or wanted.key:
        return None
    named = {"endpoint_name": wanted.endpoint, "model_name": wanted.model}
    rows = GpuHour.objects.filter(**within, workspace_id__in=_workspaces(actor, wanted))
    return rows.filter(**{column: name for column, name in named.items() if name})


def _workspaces(actor: Actor, wanted: UsageIn) -> list[int]:
    mine = actor.scope()
    return list((mine.filter(slug=wanted.workspace) if wanted.workspace else mine).values_list("pk", flat=True))


def _prefers_csv(request: HttpRequest) -> bool:
    return request.get_preferred_type(["application/json", "text/csv"]) == "text/csv"


def _counts(line: usage.Line, has_gpus: bool) -> dict[str, Any]:
    return {**dict(zip(usage.COUNTS[:-1], line.counts, strict=False)), "cost": f"{line.cost:f}",
            "gpu_hours": f"{line.gpu_hours:f}" if has_gpus else None}


@router.get("/token-prices", response=PricePage, summary="List what tokens cost, the newest price first")
def list_prices(request: ApiRequest, page: Query[PageIn]) -> Page[TokenPrice]:
    rows = TokenPrice.objects.for_workspaces(request.auth.scope())
    return page_of(rows.select_related("model", "workspace", "cluster"), page)


@router.put("/token-prices", response=PriceOut, summary="Set what tokens cost, from now or a later moment on (operators)")
def set_price(request: ApiRequest, data: PriceIn) -> TokenPrice:
    actor = request.auth
    actor.require_operator()
    mine = actor.scope()
    return token_prices.set_price(
        actor, prompt=data.prompt, completion=data.completion, cached=data.cached, valid_from=data.valid_from,
        model=pick(CatalogModel.objects.all(), data.model, field="model", what="model") if data.model else None,
        workspace=pick(mine, data.workspace, field="workspace", what="workspace") if data.workspace else None,
        public_name=data.public_name,
        cluster=pick(Cluster.objects.all(), data.place, field="place", what="place", by="name") if data.place else None)


@router.delete("/token-prices/{uid}", response={204: None}, summary="Take a price away; the one before holds again (operators)")
def drop_price(request: ApiRequest, uid: UUID) -> Status[None]:
    row = find(TokenPrice.objects.for_workspaces(request.auth.scope()), uid=uid)
    token_prices.drop_price(request.auth, row)
    return Status(204, None)
