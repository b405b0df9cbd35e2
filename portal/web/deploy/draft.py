"""What the deploy page is about: the model, place and profile that are meant, and a form with a value for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any
from uuid import UUID

from django import forms
from django.core import signing
from django.db.models import Q
from django.http import QueryDict
from django.utils.translation import gettext as _

from clusters.models import Cluster
from endpoints.models import Endpoint
from endpoints.options import object_kind, spec_for
from endpoints.services.suits import PlaceSuits, Suit, suits
from models_catalog.models import CatalogModel, EngineRelease, Profile
from models_catalog.services.spec import check_profile
from portal.tenancy.errors import Invalid, PortalError
from portal.tenancy.rows import new_uid
from portal.tenancy.text import slug_of

from ..visit import Visit
from .fields import PlainArgumentsField, PlainOptionsField, VariablesField, variable_lines
from .form import OTHER, SIGNALS, SIZES, DeployForm

SALT = "web.deploy"
MOST_MODELS = 500
NAMES_TRIED = 100
# Where a service's refusal belongs on the page.
FIELDS = {"cluster": "place", "autoscale": "scaling", "gpus": "size", "endpoints": "size", "signal": "scaling",
          "threshold": "scaling", "read_generation": "all"}


class Draft:
    """Reads the request once. Values that no longer fit what was chosen are replaced; the others stay as typed."""

    def __init__(self, visit: Visit, endpoint: Endpoint | None = None) -> None:
        self.visit, self.endpoint, self.workspace = visit, endpoint, visit.one
        self.posted = visit.request.method == "POST"
        self.data: QueryDict = (visit.request.POST if self.posted else visit.request.GET).copy()
        self.errors: dict[str, str] = {}
        self.notice = ""
        self.proposed, self.renamed = "", False
        self.uid = endpoint.uid if endpoint else _uid_of(self.data.get("token", ""))
        self.model = self._model()
        self.places = self._places()
        self.place = self._place()
        self.suit = self._suit()
        self.reshaped = not self.posted or self.data.get("shape", "") != self.shape
        if not self.posted:
            self._fill()
        elif self.reshaped:
            self._reshape()
        self._name()
        self.form = self._form()

    # What was chosen

    @cached_property
    def models(self) -> list[CatalogModel]:
        """What can be chosen: models on the shelf with a profile whose engine is there."""
        served = Profile.objects.for_workspaces(self.visit.workspaces).values("model")
        rows = CatalogModel.objects.for_workspaces(self.visit.workspaces).filter(pk__in=served)
        return list(rows.select_related("vendor").order_by("task", "name")[:MOST_MODELS])

    def _model(self) -> CatalogModel | None:
        if self.endpoint is not None and self.endpoint.wanted is not None:
            return self.endpoint.wanted.profile.model
        slug = self.data.get("model", "")
        found = next((model for model in self.models if model.slug == slug), None)
        if slug and found is None:
            self.errors["model"] = _("There is no such model on the shelf.")
        return found

    def _places(self) -> list[PlaceSuits]:
        if self.model is None:
            return []
        if self.endpoint is None:
            return suits(self.workspace, self.model)
        own = Cluster.objects.filter(pk=self.endpoint.cluster_id).select_related("aws", "access")
        return suits(self.workspace, self.model, list(own))

    def _place(self) -> PlaceSuits | None:
        if self.endpoint is not None or self.model is None:
            return next(iter(self.places), None)
        name = self.data.get("place", "")
        found = next((place for place in self.places if place.cluster.name == name), None)
        if found is None:
            if name:
                self.errors["place"] = _("There is no such place.")
                return None
            return next((place for place in self.places if place.fits), None)
        if not found.fits:
            self.errors["place"] = found.reason
        return found

    def _suit(self) -> Suit | None:
        """The profile that was chosen, else the one that suits the place best."""
        if self.place is None:
            return None
        slug = self.data.get("profile", "")
        if self.endpoint is not None and self.endpoint.wanted is not None and not slug:
            slug = self.endpoint.wanted.profile.slug
            if self.place.of(slug) is None:
                self.errors["profile"] = _("Its profile is no longer on the shelf: choose another one.")
                return self.place.best
        found = self.place.of(slug)
        known = any(place.of(slug) for place in self.places)
        other_model = self.posted and self.data.get("shape", "").split("|")[0] not in ("", self._slug)
        if slug and found is None and not known and not other_model:
            self.errors["profile"] = _("There is no such profile on the shelf.")
        if found is not None and not found.fits and self.place.fits and self.endpoint is None:
            self.errors["profile"] = found.why_not
        return found or self.place.best

    @property
    def fits(self) -> bool:
        """Whether what was chosen fits the place, by what is known of it."""
        return self.place is not None and self.place.fits and self.suit is not None and self.suit.fits

    @property
    def _slug(self) -> str:
        return self.model.slug if self.model else ""

    @property
    def shape(self) -> str:
        """What the folded fields depend on; a page that was drawn for another shape gets them anew."""
        return "|".join((self._slug, self.place.cluster.name if self.place else "",
                         self.suit.profile.slug if self.suit else ""))

    @property
    def kind(self) -> str:
        return self.place.cluster.kind if self.place else ""

    @property
    def profile(self) -> Profile | None:
        return self.suit.profile if self.suit else None

    @property
    def options_kind(self) -> str:
        """Whose own fields the place takes; "" where it has none."""
        return object_kind(self.place.cluster, spec_for(self.suit.profile)) if self.place and self.suit else ""

    @property
    def token(self) -> str:
        """The endpoint's future uid, signed: a form that is sent twice makes one endpoint."""
        return signing.Signer(salt=SALT).sign(self.uid.hex)

    # Values for the fields

    @cached_property
    def base(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Arguments and variables before anybody changes them: the wanted revision's, else the profile's."""
        if self.profile is None:
            return {}, {}
        wanted = self.endpoint.wanted if self.endpoint else None
        if wanted is not None and wanted.profile_id == self.profile.pk:
            return dict(wanted.spec.get("arguments", {})), dict(wanted.spec.get("environment", {}))
        return _base_of(self.profile)

    def _fill(self) -> None:
        """A page that was just opened: what the address says, and a default for the rest."""
        size = self.data.get("size", "") or (str(self.endpoint.replicas) if self.endpoint else "1")
        known = size in SIZES
        values = {"size": size if known else OTHER, "replicas": "" if known else size}
        if self.endpoint is not None:
            values |= _wished(self.endpoint)
        for name, value in values.items():
            self.data[name] = value
        self._put(*self.base)
        self._choose_instance()
        spec = self.endpoint.wanted.spec if self.endpoint and self.endpoint.wanted else {}
        widget = PlainOptionsField().widget
        widget.kind = self.options_kind
        for name, value in widget.as_data("options", without_instance(spec.get("options", {}))).items():
            self.data[name] = value

    def _reshape(self) -> None:
        """Another model, place or profile than the page was drawn for: keep what was typed, on the new profile's values."""
        slug = self.data.get("shape", "").rpartition("|")[2]
        known = Profile.objects.for_workspaces(self.visit.workspaces).select_related("release", "model")
        before = known.filter(slug=slug).first() if slug else None
        arguments, variables = self.base
        if before is not None:
            had_arguments, had_variables = _base_of(before)
            arguments = _carried(had_arguments, self._typed_arguments(before.release), arguments)
            variables = _carried(had_variables, _typed(VariablesField(), self.data.get("environment", "")), variables)
        self._put(arguments, variables)
        if self.data.get("options__kind", "") != self.options_kind:
            self._drop("options")
        if self.data.get("signal", "") not in {name for name, _words, _first in SIGNALS.get(self.kind, ())}:
            for name in ("scaling", "signal", "threshold"):
                self.data.pop(name, None)
        self._choose_instance()

    def _choose_instance(self) -> None:
        known = self.suit.instances if self.suit else ()
        if self.data.get("instance", "") not in known and not (self.endpoint and self.data.get("instance")):
            self.data["instance"] = next(iter(known), "")

    def _typed_arguments(self, release: EngineRelease) -> dict[str, Any]:
        field = PlainArgumentsField()
        field.take_table(release)
        return _typed(field, field.widget.value_from_datadict(self.data, {}, "arguments"))

    def _put(self, arguments: Mapping[str, Any], variables: Mapping[str, str]) -> None:
        self._drop("arguments")
        field = PlainArgumentsField()
        field.take_table(self.profile.release if self.profile else None)
        for name, value in field.widget.as_data("arguments", arguments).items():
            self.data[name] = value
        self.data["environment"] = variable_lines(variables)

    def _drop(self, name: str) -> None:
        for key in [key for key in self.data if key == name or key.startswith(f"{name}__")]:
            del self.data[key]

    def _name(self) -> None:
        """Propose a name that is free, unless the person wrote one."""
        if self.endpoint is not None:
            self.data["name"], self.data["public_name"] = self.endpoint.name, self.endpoint.public_name
            return
        name, before = self.data.get("name", "").strip(), self.data.get("proposed", "")
        mine = bool(name) and name != before
        self.proposed = _free_name(self.visit, self._slug) if self._slug and not mine else before
        self.renamed = not mine and name != self.proposed
        if not mine:
            self.data["name"] = self.proposed

    def _form(self) -> DeployForm:
        form = DeployForm(self.data)
        arguments, options = form.fields["arguments"], form.fields["options"]
        arguments.take_table(self.profile.release if self.profile else None)  # type: ignore[attr-defined]
        options.take_kind(self.options_kind)  # type: ignore[attr-defined]
        return form

    # What is wrong

    def refuse(self, error: PortalError) -> None:
        """Show a service's refusal at its field."""
        field = FIELDS.get(error.field, error.field)
        known = {*self.form.fields, "model", "place", "profile"}
        self.errors.setdefault(field if field in known else "all", error.message)

    @property
    def chosen_profile(self) -> str:
        """Which profile the list shows; "" is the one that suits best."""
        if self.endpoint is not None:
            return self.profile.slug if self.profile else ""
        slug: str = self.data.get("profile", "")
        return slug if self.place and self.place.of(slug) else ""

    @property
    def told(self) -> dict[str, str]:
        """By field, what is wrong with it. A page on which nothing was chosen yet complains of nothing."""
        if not self.posted and self.model is None:
            return self.errors
        found = {FIELDS.get(name, name): " ".join(map(str, errors)) for name, errors in self.form.errors.items()}
        return {**found, **self.errors}


def _uid_of(token: str) -> UUID:
    try:
        return UUID(signing.Signer(salt=SALT).unsign(token))
    except (signing.BadSignature, ValueError):
        return new_uid()


def _base_of(profile: Profile) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        return check_profile(profile)
    except Invalid:  # the plan says what is wrong with the profile
        return {}, {}


def _carried(was: Mapping[str, Any], typed: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """The new base with what was changed in the old one."""
    changed = {name: value for name, value in typed.items() if was.get(name) != value}
    gone = {name for name in was if name not in typed}
    return {**{name: value for name, value in base.items() if name not in gone}, **changed}


def _typed(field: forms.Field, value: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = field.clean(value)
    except forms.ValidationError:
        return {}
    return found


def instance_in(options: Mapping[str, Any]) -> str:
    """The one type of machine that options of a place in AWS name."""
    server = options.get("server") or {}
    return str(options.get("InstanceType") or options.get("instanceType") or server.get("instanceType") or "")


def without_instance(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options without that type, which the page has a field of its own for."""
    kept = {name: value for name, value in options.items() if name not in ("InstanceType", "instanceType")}
    if "server" in kept and "instanceType" in kept["server"]:
        kept["server"] = {name: value for name, value in kept["server"].items() if name != "instanceType"}
    return {name: value for name, value in kept.items() if value != {} or name not in ("server",)}


def _wished(endpoint: Endpoint) -> dict[str, str]:
    """The fields as the endpoint's wish has them; the type of machine stands in its own field."""
    spec = endpoint.wanted.spec if endpoint.wanted else {}
    scaling = endpoint.autoscale
    found = {
        "affinity": endpoint.affinity, "read_generation": str(endpoint.generation),
        "devices": ", ".join(map(str, spec.get("resources", {}).get("devices", ()))),
        "instance": instance_in(spec.get("options", {})),
    }
    if scaling:
        found |= {"scaling": "on", "min_replicas": str(scaling["min_replicas"]),
                  "max_replicas": str(scaling["max_replicas"])}
    return found


def _free_name(visit: Visit, slug: str) -> str:
    """The model's short name, with a number where the workspace has it already."""
    stem = slug_of(slug)[:56].rstrip("-")
    tries = (stem, *(f"{stem}-{number}" for number in range(2, NAMES_TRIED)))
    rows = Endpoint.objects.for_workspaces(visit.workspaces).filter(Q(name__in=tries) | Q(public_key__in=tries))
    taken = {name for pair in rows.values_list("name", "public_key") for name in pair}
    return next((name for name in tries if name not in taken), "")
