from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from portal.tenancy import services
from portal.tenancy.errors import Invalid, PortalError
from portal.tenancy.many_keys import revoke_keys
from portal.tenancy.models import ApiKey
from portal.tenancy.pagination import page_of
from portal.tenancy.roles import SCOPE_MAY, Scope, Verb

from ..lists.address import asked, page_asked, query_with
from ..lists.forms import make_once, refuse
from ..visit import Visit, page
from .forms import KeyForm, model_names
from .rows import MOST_COUNTED, STATES, Counts, chosen_of, counted, filtered, keys_of, lines_of


@require_safe
@page
def keys(visit: Visit) -> HttpResponse:
    """The keys, newest first. Filters: `state` and `q`."""
    request = visit.request
    state, text = asked(request, "state", "works"), asked(request, "q")
    state = state if state in STATES else "works"
    mine = keys_of(visit)
    found = page_of(filtered(mine, state, text).select_related("created_by", "workspace"), page_asked(request))
    counts = counted(mine)
    return visit.render(
        "web/keys/keys.html", area="keys", lines=lines_of(found.items), counts=counts, title=_title(counts),
        states=[(name, each.title, name == state) for name, each in STATES.items()], state=state, text=text,
        is_filtered=bool(text) or state != "works", sees_all=visit.may(Verb.MANAGE),
        older=query_with(request, cursor=found.next) if found.next else "",
        newest=query_with(request) if "cursor" in request.GET else "")


def _title(counts: Counts) -> str:
    if counts.soon:
        return ngettext("%(n)d key ends within 7 days", "%(n)d keys end within 7 days", counts.soon) % {"n": counts.soon}
    if counts.sleeps:
        return ngettext("%(n)d key has not been used for 30 days", "%(n)d keys have not been used for 30 days",
                        counts.sleeps) % {"n": counts.sleeps}
    if counts.works >= MOST_COUNTED:
        return _("More than %(n)d keys work") % {"n": MOST_COUNTED - 1}
    if not counts.works:
        return _("No key works yet")
    return ngettext("%(n)d key works", "%(n)d keys work, all of them in use", counts.works) % {"n": counts.works}


@require_http_methods(["GET", "POST"])
@page
def new(visit: Visit) -> HttpResponse:
    """Make a key. Its text is in the answer to the form and nowhere else: not in a message, a session or an address."""
    names = model_names(visit.one)
    if visit.request.method != "POST":
        return _form_page(visit, KeyForm(names=names))
    form = KeyForm(visit.request.POST, names=names)
    if not form.is_valid():
        return _form_page(visit, form, 422)
    made: list[tuple[ApiKey, str]] = []

    def make() -> str:
        made[:] = [services.create_key(
            visit.actor, visit.one, name=form.cleaned_data["name"], scopes=form.cleaned_data["scopes"],
            model_names=form.names, expires_at=form.expires_at)]
        return str(made[0][0].uid)

    try:
        _uid, is_new = make_once(visit, form, make)
    except PortalError as error:
        field = "scopes" if error.code == "scope_exceeds_role" else error.field
        return _form_page(visit, form, refuse(form, type(error)(error.message, field=field)))
    if not is_new:
        messages.warning(visit.request, _("This form has made its key already, and the key was shown then. If you "
                                          "did not copy it, revoke it and make another one."))
        return redirect(visit.url("keys"))
    return _shown_once(visit, *made[0])


def _form_page(visit: Visit, form: KeyForm, status: int = 200) -> HttpResponse:
    held = set(form["scopes"].value() or [])
    scopes = [(value, label, SCOPE_MAY[value] <= visit.verbs, value in held) for value, label in Scope.choices]
    return visit.render("web/keys/new.html", area="keys", form=form, scopes=scopes, status=status,
                        names=list(form["model_names"]), may_none=not any(may for _value, _label, may, _is_held in scopes))


def _shown_once(visit: Visit, key: ApiKey, text: str) -> HttpResponse:
    calls_models = Scope.INFERENCE in key.scopes
    return visit.render(
        "web/keys/made.html", area="keys", key=key, line=lines_of([key])[0], text=text, base_url=f"{settings.PORTAL_URL}/v1",
        env=(f"OPENAI_BASE_URL={settings.PORTAL_URL}/v1\nOPENAI_API_KEY={text}\n" if calls_models
             else f"PORTAL_URL={settings.PORTAL_URL}\nPORTAL_API_KEY={text}\n"))


@require_http_methods(["GET", "POST"])
@page
def revoke(visit: Visit) -> HttpResponse:
    """Say what ends with the chosen keys (`key`, repeatable), then end them, all or none."""
    request = visit.request
    asked_for = request.POST if request.method == "POST" else request.GET
    scope = ApiKey.objects.of_people().filter(workspace__in=visit.workspaces) if request.method == "POST" else keys_of(visit)
    found, is_complete = chosen_of(scope, asked_for.getlist("key"))
    error: PortalError | None = None
    if found and not is_complete:
        error = Invalid(_("One of the chosen keys is not there. Choose again."), field="key")
    if request.method != "POST" or error or not found:
        return _confirm_page(visit, found, error)
    try:
        revoke_keys(visit.actor, found)
    except PortalError as refused:
        return _confirm_page(visit, found, refused)
    messages.success(request, ngettext(
        "%(n)d key is revoked: what uses it is refused within 5 seconds.",
        "%(n)d keys are revoked: what uses them is refused within 5 seconds.", len(found)) % {"n": len(found)})
    return redirect(visit.url("keys"))


def _confirm_page(visit: Visit, found: list[ApiKey], error: PortalError | None) -> HttpResponse:
    status = error.status if error else 422 if visit.request.method == "POST" else 200
    shown = found if error is None or error.status != 403 else []
    return visit.render("web/keys/revoke.html", area="keys", lines=lines_of(shown), error=error, status=status)
