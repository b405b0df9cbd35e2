"""Pages by keyset: the cursor is the last row's id, signed, so a deep page costs what the first one does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from django.core import signing
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from ninja import Query, Schema
from pydantic import Field, ValidationInfo, model_validator

from .errors import Invalid

M = TypeVar("M", bound=Model)
DEFAULT_LIMIT, MAX_LIMIT = 50, 200


class ClosedQuery(Schema):
    """Query parameters: an unknown one is refused, since a misspelt filter would show everything."""

    @model_validator(mode="after")
    def _nothing_else(self, info: ValidationInfo) -> Self:
        request = (info.context or {}).get("request")
        known = {field.alias or name for name, field in type(self).model_fields.items()}
        unknown = sorted(set(request.GET) - known) if request else []
        if unknown:
            raise ValueError(_("There is no parameter “%(name)s” here.") % {"name": unknown[0][:40]})
        return self


class PageIn(ClosedQuery):
    """`cursor` is the `next` of the page before."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: str = Field("", max_length=200)


@dataclass(frozen=True)
class Page(Generic[M]):
    items: list[M]
    next: str | None


def page_of(rows: QuerySet[M], page: PageIn) -> Page[M]:
    """The newest rows first. Raises Invalid for a cursor that we did not give out for this kind of row.

    The ids come first, alone, and their rows in a second query: MariaDB would join the small tables
    to all rows before it takes the page's few.
    """
    salt = f"cursor:{rows.model._meta.label_lower}"
    if page.cursor:
        rows = rows.filter(pk__lt=_position(page.cursor, salt))
    keys = list(rows.order_by("-pk").values_list("pk", flat=True)[: page.limit + 1])
    shown = keys[: page.limit]
    items = list(rows.filter(pk__in=shown).order_by("-pk")) if shown else []
    return Page(items, signing.dumps(shown[-1], salt=salt) if len(keys) > page.limit else None)


def _position(cursor: str, salt: str) -> Any:
    try:
        return signing.loads(cursor, salt=salt)
    except signing.BadSignature as error:
        raise Invalid(_("This cursor is not from this list."), field="cursor") from error


PageQuery = Query[PageIn]
