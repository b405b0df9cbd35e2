from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse, JsonResponse, QueryDict
from django.templatetags.static import static
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from clusters.instances.prices import price_book
from portal.tenancy.answers import error_response, is_uid
from portal.tenancy.auth import ApiRequest
from portal.tenancy.errors import Invalid, PortalError
from portal.tenancy.page_keys import PLAYGROUND, draw_key
from portal.tenancy.roles import Verb

from ..visit import Visit, page
from .kinds import KINDS, MOST_MODELS, Kind, kind_for, kind_named
from .offers import Offer, Offers, known_names, offers, task_of
from .words import title_of, words

MOST_NAMED = 10
SHARED = ("parts", "gateway", "models", "code")  # of the script, in the order in which they need each other
SCRIPTS = {kind.name: ["chat-text", "chat-settings", "chat-images", "chat-column", "chat"] if kind.name == "chat" else ["texts"]
           for kind in KINDS}


@require_GET
@page
def playground(visit: Visit) -> HttpResponse:
    """The page itself: what can be tried, and all that its script needs to know."""
    visit.one  # noqa: B018  # a talk happens in one workspace
    named = _named(visit.request.GET)
    kind = kind_named(visit.request.GET.get("try", "")) or kind_for(task_of(visit.workspaces, named))
    found = offers(visit.workspaces, kind, named=named)
    parts = [f"web/playground-{part}.js" for part in (*SHARED, *SCRIPTS[kind.name])]
    return visit.render(
        "web/playground/playground.html", area="playground", kind=kind, kinds=KINDS, title=title_of(kind, found),
        offers=found, parts=parts, may_call=visit.may(Verb.USE),
        config=json.dumps(_config(visit, kind, found, _chosen(found, named, kind))))


@require_GET
@page
def models(visit: Visit) -> HttpResponse:
    """The list again, for the page's script: as it is now, or searched."""
    visit.one  # noqa: B018
    asked = visit.request.GET
    kind = kind_named(asked.get("try", "")) or KINDS[0]
    found = offers(visit.workspaces, kind, search=asked.get("q", "").strip()[:128], named=_named(asked))
    return JsonResponse(_listed(found))


@require_POST
@page
def key(visit: Visit) -> HttpResponse:
    """Draw a key for the models that the page is about to call. The answer is its only copy, for the script's memory."""
    try:
        names = _wanted_names(visit)
        row, text = draw_key(visit.actor, visit.one, name=PLAYGROUND, model_names=names)
    except PortalError as error:
        request: ApiRequest = visit.request  # type: ignore[assignment]  # only its id is read
        return error_response(request, error)
    return JsonResponse({"key": text, "expires_at": row.expires_at, "models": row.model_names})


def _wanted_names(visit: Visit) -> list[str]:
    visit.actor.require(Verb.USE, visit.one)
    names = sorted(set(visit.request.POST.getlist("model")))
    if not 0 < len(names) <= MOST_MODELS or set(names) - known_names(visit.one, names):
        raise Invalid(_("unknown %(what)s") % {"what": _("model")}, field="model")
    return names


def _named(asked: QueryDict) -> list[UUID]:
    """The endpoints and routes in the address; what is no id is left out, as a stranger's is later."""
    texts = [*asked.getlist("endpoint"), *asked.getlist("route")][:MOST_NAMED]
    return [UUID(text) for text in texts if is_uid(text)]


def _chosen(found: Offers, named: Iterable[UUID], kind: Kind) -> list[Offer]:
    """What the page begins with: what the address names, else the first that answers."""
    by_uid = {offer.uid: offer for offer in found.items}
    wanted = [by_uid[str(uid)] for uid in dict.fromkeys(named) if str(uid) in by_uid]
    return (wanted or found.ready[:1])[:kind.most]


def _listed(found: Offers) -> dict[str, Any]:
    return {"models": [offer.as_json() for offer in found.items], "is_cut": found.is_cut}


def _config(visit: Visit, kind: Kind, found: Offers, chosen: Iterable[Offer]) -> dict[str, Any]:
    return {
        **_listed(found), "chosen": [offer.uid for offer in chosen], "most": kind.most, "kind": kind.name,
        "path": kind.path, "workspace": visit.slug, "language": get_language(), "currency": price_book().currency,
        "urls": {"key": visit.url("playground-key"), "models": visit.url("playground-models"),
                 "page": visit.url("playground"), "limits": visit.url("limits"), "endpoints": visit.url("endpoints"),
                 "icons": static("web/icons.svg"), "shapes": static("portal/shapes.svg")},
        "base": settings.PORTAL_URL, "words": words(),
    }
