"""The base of every admin page: rows of the person's scope only, audited saving, refusals as form errors."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import unquote
from django.db.models import ForeignKey, Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin

from .. import audit
from ..actor import Actor
from ..db import retry_tx
from ..errors import PortalError
from ..fields import EncryptedField
from ..models import User
from .paging import CappedPaginator

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def actor_of(request: HttpRequest) -> Actor:
    """The person behind an admin request, for a service's first argument."""
    assert isinstance(request.user, User), "admin views have a person"
    return Actor(user=request.user, request_id=getattr(request, "request_id", ""))


def is_operator(request: HttpRequest) -> bool:
    """Whether the person may see and act in every workspace."""
    return isinstance(request.user, User) and request.user.sees_everything


def scoped(rows: QuerySet[Any], user: Any, path: str = "") -> QuerySet[Any]:
    """The rows that `user` may see: by the queryset's own `visible_to`, or by that of the relation at `path`.

    Without either only an operator sees anything, so that a forgotten scope shows less, not more.
    """
    if hasattr(rows, "visible_to"):
        visible: QuerySet[Any] = rows.visible_to(user)
        return visible
    if isinstance(user, User) and user.sees_everything:
        return rows
    if not path:
        return rows.none()
    model: Any = rows.model
    for name in path.split("__"):
        model = model._meta.get_field(name).related_model
    return rows.filter(**{f"{path}__in": model._default_manager.all().visible_to(user)})


def adopt(row: Model, made: Model) -> None:
    """Make the form's unsaved instance stand for the row that a service made."""
    row.__dict__.update(made.__dict__)


class PortalAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Base of all our admin pages.

    `scope_path` names the relation that carries the scope where the model's queryset has no `visible_to`.
    Saving writes the row and an audit entry; where saving has consequences override `save_model` and call
    the service. A PortalError from there comes back as an error of the form, with the input kept.
    """

    scope_path = ""
    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator
    list_filter_submit = False
    warn_unsaved_form = True
    compressed_fields = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give each confirmed action's permission the method that Django and unfold ask."""
        super().__init_subclass__(**kwargs)
        for member in [getattr(cls, name, None) for name in dir(cls)]:
            codename = getattr(member, "own_permission", "")
            name = f"has_{codename.rpartition('.')[2]}_permission"
            if codename and not hasattr(cls, name):
                setattr(cls, name, _permission_method(codename))

    # Search

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """Signs between the words of a name (“·”, “/”) need not be anywhere: who types or pastes a name as shown finds it."""
        words = [word for word in search_term.split() if any(sign.isalnum() for sign in word)]
        found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, " ".join(words) or search_term)
        return found

    # Scope

    def scoped_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows of this request, bare: no annotations, the default order."""
        return scoped(self.model._default_manager.all(), request.user, self.scope_path)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Override to annotate or select; always start from super()."""
        rows = self.scoped_queryset(request)
        ordering = self.get_ordering(request)
        return rows.order_by(*ordering) if ordering else rows

    def choices_for(self, request: HttpRequest, model: type[Model]) -> QuerySet[Any]:
        """What a chooser of `model` may offer and accept: exactly what that model's own page shows."""
        other = self.admin_site._registry.get(model)
        if isinstance(other, PortalAdmin):
            return other.scoped_queryset(request)
        return scoped(model._default_manager.all(), request.user)

    def formfield_for_foreignkey(self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        kwargs.setdefault("queryset", self.choices_for(request, db_field.remote_field.model))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Never filter by a secret, not even by one of one's own rows: the answer would leak it bit by bit."""
        name = lookup.partition("__")[0]
        field = next((field for field in self.opts.get_fields() if field.name == name), None)
        if name in audit.HIDDEN or isinstance(field, EncryptedField):
            return False
        return bool(super().lookup_allowed(lookup, value, request))

    # Saving

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        view = super().changeform_view
        if request.method in SAFE_METHODS:
            return view(request, object_id, form_url, extra_context)  # type: ignore[no-any-return]
        try:
            return retry_tx(view)(request, object_id, form_url, extra_context)  # type: ignore[no-any-return]
        except PortalError as error:
            # Everything is rolled back. The same view again, with a form that knows the refusal.
            request.refusal = error  # type: ignore[attr-defined]
            return view(request, object_id, form_url, extra_context)  # type: ignore[no-any-return]

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        refusal = getattr(request, "refusal", None)
        return _refused(form, refusal) if refusal else form

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        """Write the row and its audit entry."""
        stored = self.model._default_manager.filter(pk=obj.pk).first() if change else None
        before = audit.snapshot(stored) if stored else {}
        obj.save()
        audit.record(actor_of(request), "change" if change else "create", obj, before=before, after=audit.snapshot(obj),
                     workspace=getattr(obj, "workspace", None))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        audit.record(actor_of(request), "delete", obj, before=audit.snapshot(obj),
                     workspace=getattr(obj, "workspace", None))
        obj.delete()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_model(request, row)

    # The audit is the one history; the framework's own log would be a second, poorer one.

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None: ...

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None: ...

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None: ...

    # For confirmed actions

    def row_note(self, row: Any) -> str:
        """What the confirmation page says beside a row's name."""
        return ""

    def find_row(self, request: HttpRequest, object_id: str) -> Any:
        """The row of a detail page in this person's scope, or None, also where the id makes no sense."""
        return self.get_object(request, unquote(object_id))


class DeletedByAction:
    """For a page with an action `remove`: deleting goes through the service, on every road."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)  # type: ignore[misc]  # of the admin that it is mixed into
        found.pop("delete_selected", None)
        return found

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        answer: HttpResponse = self.remove(request, object_id=object_id)  # type: ignore[attr-defined]  # as above
        return answer


class ViewOnlyAdmin(PortalAdmin):
    """For rows that only the portal writes."""

    warn_unsaved_form = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _permission_method(codename: str) -> Any:
    def allowed(self: PortalAdmin, request: HttpRequest, obj: Any = None) -> bool:
        app, _dot, name = codename.rpartition(".")
        full = f"{app}.{name}" if app else f"{self.opts.app_label}.{name}_{self.opts.model_name}"
        return bool(request.user.has_perm(full))

    return allowed


def _refused(form: Any, refusal: PortalError) -> Any:
    """The same form class, which refuses what a service has refused."""

    class Refused(form):  # type: ignore[misc]
        def _post_clean(self) -> None:
            super()._post_clean()
            self.add_error(refusal.field if refusal.field in self.fields else None, refusal.message)

    Refused.__name__ = form.__name__
    return Refused


