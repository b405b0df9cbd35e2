"""What bulk import and export read and write: listed fields only, no secrets; every row goes through its service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from import_export.fields import Field
from import_export.resources import ModelResource

from portal.tenancy.actor import Actor
from portal.tenancy.errors import PortalError
from portal.tenancy.models import Workspace

from . import services
from .cells import ByShortName, Structure, Text, Truth, Whole
from .choices import ArtifactKind
from .formats import ABSENT
from .models import Artifact, CatalogModel, EngineRelease, Profile, Vendor


def column(name: str, widget: Any) -> Field:
    return Field(attribute=name, column_name=name, widget=widget)


class CatalogueResource(ModelResource):  # type: ignore[misc]  # import_export has no types
    """Base: rows are found by short name among `rows` and written by `put`. A refusal names its field and row."""

    put: Callable[[Actor, Any], Any]

    def __init__(self, *, actor: Actor, rows: QuerySet[Any], **kwargs: Any) -> None:
        self.actor = actor
        self.rows = rows
        super().__init__(**kwargs)

    class Meta:
        import_id_fields = ("slug",)
        report_skipped = True
        use_transactions = True
        clean_model_instances = False
        store_instance = True

    def get_queryset(self) -> QuerySet[Any]:
        return self.rows

    def before_import(self, dataset: Any, **kwargs: Any) -> None:
        known = {field.column_name for field in self.get_import_fields()}
        if unknown := sorted(set(dataset.headers or ()) - known):
            raise ValidationError(f"{', '.join(unknown)[:200]}: {', '.join(sorted(known))}")

    def before_import_row(self, row: dict[str, Any], **kwargs: Any) -> None:
        """Forget cells that say nothing, so that the row's field keeps its value or its default."""
        for name in [name for name, value in row.items() if value is ABSENT or self._is_blank(name, value)]:
            del row[name]

    def _is_blank(self, name: str, value: Any) -> bool:
        return value in ("", None) and isinstance(self.fields[name].widget, Truth)

    def do_instance_save(self, instance: Model, is_create: bool) -> None:
        try:
            type(self).put(self.actor, instance)
        except PortalError as error:
            raise ValidationError({error.field or "__all__": [error.message]}) from error

    def validate_instance(self, instance: Model, import_validation_errors: Any = None, **kwargs: Any) -> None:
        # The service runs all rules; here only what a cell itself got wrong.
        if import_validation_errors:
            raise ValidationError(import_validation_errors)


class VendorResource(CatalogueResource):
    put = staticmethod(services.put_vendor)
    slug = column("slug", Text())
    names = column("names", Structure(dict))
    homepage = column("homepage", Text())

    class Meta:
        model = Vendor
        fields = export_order = ("slug", "names", "homepage")


class ReleaseResource(CatalogueResource):
    put = staticmethod(services.put_release)
    slug, kind, version, device, image = (
        column(name, Text()) for name in ("slug", "kind", "version", "device", "image"))
    enabled = column("enabled", Truth())

    class Meta:
        model = EngineRelease
        fields = export_order = ("slug", "kind", "version", "device", "image", "enabled")


class ModelsResource(CatalogueResource):
    put = staticmethod(services.put_model)
    slug, name, task, category, licence, released, architecture, dtype, quantisation, description = (
        column(name, Text()) for name in (
            "slug", "name", "task", "category", "licence", "released", "architecture", "dtype", "quantisation",
            "description"))
    vendor = column("vendor", ByShortName(Vendor.objects.all()))
    workspace = column("workspace", ByShortName(Workspace.objects.all(), optional=True))
    shelved, gated = column("shelved", Truth()), column("gated", Truth())
    languages, sources = column("languages", Structure(list)), column("sources", Structure(list))
    shape = column("shape", Structure(dict))
    parameters, parameters_active, context_tokens, weights_bytes = (
        column(name, Whole()) for name in ("parameters", "parameters_active", "context_tokens", "weights_bytes"))

    class Meta:
        model = CatalogModel
        fields = export_order = (
            "slug", "name", "vendor", "workspace", "task", "category", "shelved", "licence", "gated", "languages",
            "released", "parameters", "parameters_active", "context_tokens", "weights_bytes", "architecture", "dtype",
            "quantisation", "shape", "sources", "description")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Another tenant's workspace is as unknown as a missing one.
        self.fields["workspace"] = column("workspace", ByShortName(self.actor.workspaces, optional=True))


class ProfileResource(CatalogueResource):
    """A profile with its artifact, which is made where the model does not have it yet."""

    put = staticmethod(services.put_profile)
    slug, name = column("slug", Text()), column("name", Text())
    model = column("model", ByShortName(CatalogModel.objects.all()))
    release = column("release", ByShortName(EngineRelease.objects.all()))
    artifact_kind = Field(attribute="artifact__kind", column_name="artifact_kind", widget=Text(), readonly=True)
    artifact_location = Field(attribute="artifact__location", column_name="artifact_location", widget=Text(),
                              readonly=True)
    artifact_revision = Field(attribute="artifact__revision", column_name="artifact_revision", widget=Text(),
                              readonly=True)
    places = column("places", Structure(list))
    arguments, environment = column("arguments", Structure(dict)), column("environment", Structure(dict))
    placement = column("placement", Structure(dict))
    cpu_millis, memory_bytes, gpus, nodes, gpu_memory_bytes, start_seconds = (
        column(name, Whole()) for name in ("cpu_millis", "memory_bytes", "gpus", "nodes", "gpu_memory_bytes", "start_seconds"))

    class Meta:
        model = Profile
        fields = export_order = (
            "slug", "name", "model", "release", "artifact_kind", "artifact_location", "artifact_revision", "places",
            "arguments", "environment", "cpu_millis", "memory_bytes", "gpus", "nodes", "gpu_memory_bytes", "placement",
            "start_seconds")

    def __init__(self, *, models: QuerySet[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fields["model"] = column("model", ByShortName(models))

    def before_save_instance(self, instance: Profile, row: dict[str, Any], **kwargs: Any) -> None:
        """Point the profile at the artifact that the row names; a row without one keeps what it has."""
        kind, location = row.get("artifact_kind"), row.get("artifact_location")
        if not kind and not location and instance.artifact_id:
            return
        try:
            instance.artifact = self._artifact(instance.model, str(kind or ""), str(location or ""),
                                               str(row.get("artifact_revision") or ""))
        except PortalError as error:
            raise ValidationError({f"artifact_{error.field or 'location'}": [error.message]}) from error

    def _artifact(self, model: CatalogModel, kind: str, location: str, revision: str) -> Artifact:
        if kind in ArtifactKind.values:
            found = model.artifacts.filter(kind=kind, location=location, revision=revision).first()
            if found is not None:
                return found
        return services.create_artifact(self.actor, model, kind=kind, location=location, revision=revision)
