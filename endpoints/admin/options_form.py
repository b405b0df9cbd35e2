"""The fields that a place and a profile bring, for the add page."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from clusters.models import Cluster
from endpoints.options import object_kind, spec_for
from endpoints.options_form import OptionsWidget
from models_catalog.models import Profile


def options_answer(request: HttpRequest, places: QuerySet[Cluster]) -> HttpResponse:
    """The widget for the place and the profile in the address, as far as the person may see them."""
    place = places.filter(pk=_number(request, "cluster")).first()
    profiles = Profile.objects.all().visible_to(request.user).select_related("artifact", "release", "model")
    profile = profiles.filter(pk=_number(request, "profile")).first()
    widget = OptionsWidget()
    widget.kind = object_kind(place, spec_for(profile)) if place and profile else ""
    return HttpResponse(widget.render("options", {}, {"id": "id_options"}))


def _number(request: HttpRequest, name: str) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 19 else 0
