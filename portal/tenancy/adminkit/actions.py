"""Admin actions that ask first: permission, a page that lists the rows, one service call a row, messages.

The same method is an entry of the list's action menu and a button of the detail page. A form carries a token
that works once, so a double click or a repeated request starts nothing twice and sees the same messages.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import update_wrapper
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import model_ngettext
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from ..errors import PortalError
from ..idempotency import Answer, is_answered, once
from .base import PortalAdmin

TOKEN = "confirm_token"  # noqa: S105  the name of a form field
WORD = "preview_word"
MOST_ROWS = 1000
MOST_MESSAGES = 20


class ConfirmForm(forms.Form):
    """Base for the choices of an action. `rows` are the rows it will act on, `request` the person's.

    `first_button` leads to the preview, where the action has one.
    """

    first_button = gettext_lazy("Show what will change")

    def __init__(self, *args: Any, rows: Sequence[Any] = (), request: HttpRequest | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = rows
        self.request = request


@dataclass(frozen=True)
class Preview:
    """What an action on one row would do, shown before it is done. `word` names exactly this state of things.

    A person who confirms sends the word back; where things have changed since, they are shown anew.
    """

    template: str
    context: dict[str, Any]
    word: str
    is_approved: bool = False


@dataclass(frozen=True)
class Verb:
    """One confirmed action: what it is called, who may, what it says and asks."""

    name: str
    label: Any
    permission: str
    explain: Any
    form: type[ConfirmForm] | None
    danger: bool
    typed_name: bool
    immediate: bool
    repeatable: bool
    act: Callable[..., Any]
    preview: Callable[..., Preview] | None = None


def confirmed(
    label: Any, *, permission: str, form: type[ConfirmForm] | None = None, explain: Any = "", danger: bool = False,
    typed_name: bool = False, immediate: bool = False, repeatable: bool = False, icon: str = "",
    preview: Callable[..., Preview] | None = None,
) -> Callable[[Callable[..., Any]], Any]:
    """Turn ``def act(self, request, row, **form values)`` into an action with a confirmation page.

    `permission` is a verb of this model ("deploy") or a whole name ("clusters.enrol_host"). `explain` is the
    sentence that says what will happen. `typed_name` asks for the name of a single row, and for a tick where
    there are many. `immediate` reports "done" rather than "started". The method calls one service; a
    PortalError from it becomes a message with the row's name. A method that returns a page (a secret shown once)
    has it shown instead of the messages, the first time only. `repeatable` is for what only asks the outside: it
    runs outside a transaction, since nobody may wait for another system inside one, and again when it is sent again.
    ``preview(request, row, word, **form values)`` shows what it would do to a single row; it may ask the outside.
    """

    def wrap(act: Callable[..., Any]) -> Any:
        verb = Verb(act.__name__, label, permission, explain, form, danger, typed_name, immediate, repeatable, act, preview)

        def action(
            self: PortalAdmin, request: HttpRequest, queryset: QuerySet[Any] | None = None, *, object_id: str = "",
        ) -> HttpResponse | None:
            return _answer(self, request, verb, queryset, object_id)

        update_wrapper(action, act, assigned=("__module__", "__name__", "__qualname__", "__doc__"), updated=())
        variant = ActionVariant.DANGER if danger else ActionVariant.DEFAULT
        vars(action).update(
            short_description=label, own_permission=permission, allowed_permissions=[permission.rpartition(".")[2]],
            url_path=act.__name__.replace("_", "-"), icon=icon or None, variant=variant, attrs={}, dialog=None,
            original_function_name=act.__name__)
        return action

    return wrap


@dataclass(frozen=True)
class Chosen:
    """The rows in scope, how many chosen ids are not among them, and where to go afterwards."""

    rows: Sequence[Any]
    missing: int
    back: str


@dataclass
class Run:
    """One request for an action. `pages` holds what the action itself wants shown."""

    page: PortalAdmin
    request: HttpRequest
    verb: Verb
    chosen: Chosen
    pages: list[HttpResponse] = field(default_factory=list)


def _answer(
    page: PortalAdmin, request: HttpRequest, verb: Verb, queryset: QuerySet[Any] | None, object_id: str,
) -> HttpResponse | None:
    if not getattr(page, f"has_{verb.permission.rpartition('.')[2]}_permission")(request):
        raise PermissionDenied
    chosen = _chosen(page, request, queryset, object_id)
    if object_id and not chosen.rows:
        return page._get_obj_does_not_exist_redirect(request, page.opts, object_id)  # type: ignore[no-any-return]
    if len(chosen.rows) > MOST_ROWS:
        messages.error(request, _("Choose at most %(most)d rows at once.") % {"most": MOST_ROWS})
        return HttpResponseRedirect(chosen.back)
    run, form = Run(page, request, verb, chosen), _form(verb, request, chosen.rows)
    preview = _preview(run, form)
    if TOKEN not in request.POST or not form.is_valid() or (preview is not None and not preview.is_approved):
        return _ask(run, form, preview)
    for level, text in _perform(run, form):
        if not run.pages:
            messages.add_message(request, level, text)
    return run.pages[0] if run.pages else _leave(run, object_id)


def _preview(run: Run, form: ConfirmForm) -> Preview | None:
    """What the form as it is would do to the only row; None where nothing can be said yet."""
    if run.verb.preview is None or len(run.chosen.rows) != 1:
        return None
    if is_answered(scope=_scope(run), key=_key(run)):
        return None  # a double click: the first one's answer is told again
    if form.is_bound:
        values = form.cleaned_data if form.is_valid() else None
    else:
        values = None if form.visible_fields() else {name: field.initial for name, field in form.fields.items()}
    if values is None:
        return None
    word = run.request.POST.get(WORD, "") if form.is_bound else ""
    return run.verb.preview(run.request, run.chosen.rows[0], word, **values)


def _leave(run: Run, object_id: str) -> HttpResponse:
    """Back to where the person came from, or to the list where the row is gone."""
    page, chosen = run.page, run.chosen
    gone = object_id and not page.scoped_queryset(run.request).filter(pk=chosen.rows[0].pk).exists()
    return HttpResponseRedirect(reverse(_url_name(page, "changelist")) if gone else chosen.back)


def _chosen(page: PortalAdmin, request: HttpRequest, queryset: QuerySet[Any] | None, object_id: str) -> Chosen:
    if queryset is None:
        row = page.find_row(request, object_id)
        return Chosen([row] if row else [], 0, reverse(_url_name(page, "change"), args=[object_id]))
    rows = list(queryset[: MOST_ROWS + 1])
    ids = set(request.POST.getlist(helpers.ACTION_CHECKBOX_NAME))
    across = request.POST.get("select_across") == "1"
    return Chosen(rows, 0 if across else len(ids - {str(row.pk) for row in rows}), request.get_full_path())


def _form(verb: Verb, request: HttpRequest, rows: Sequence[Any]) -> ConfirmForm:
    data = request.POST if TOKEN in request.POST else None
    form = (verb.form or ConfirmForm)(data, rows=rows, request=request)
    if verb.typed_name and len(rows) == 1:
        form.fields["typed_name"] = _typed_name(str(rows[0]))
    elif verb.typed_name:
        form.fields["read"] = forms.BooleanField(label=gettext_lazy("I have read the list"), widget=UnfoldBooleanWidget())
    return form


def _typed_name(name: str) -> forms.CharField:
    def equal(value: str) -> None:
        if value != name:
            raise forms.ValidationError(_("Type the name exactly: %(name)s") % {"name": name})

    return forms.CharField(label=_("Type “%(name)s” to confirm") % {"name": name}, validators=[equal],
                           widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}))


def _perform(run: Run, form: ConfirmForm) -> list[list[Any]]:
    """Call the service for each row, once per token; the lines to show, the same ones to whoever repeats it."""
    values = {name: value for name, value in form.cleaned_data.items() if name not in ("typed_name", "read")}
    post, chosen = run.request.POST, run.chosen
    said = {name: post.getlist(name) for name in sorted(post) if name not in ("csrfmiddlewaretoken", WORD)}

    def make() -> Answer:
        run.pages.clear()  # the transaction may be repeated
        refusals = [line for row in chosen.rows if (line := _refusal(run, row, values))]
        refusals += [_("There is no such object.")] * chosen.missing
        return Answer(200, _summary(run.verb, len(chosen.rows) + chosen.missing - len(refusals), refusals))

    if run.verb.repeatable:
        return list(make().body)
    try:
        answer = once(scope=_scope(run), key=_key(run), make=make,
                      body=json.dumps([run.verb.name, run.request.path, said]).encode())
    except PortalError as error:
        return [[messages.ERROR, error.message]]
    return list(answer.body)


def _scope(run: Run) -> str:
    return f"admin:{run.request.user.pk}"


def _key(run: Run) -> str:
    return run.request.POST.get(TOKEN, "")[:64] or "-"


def _refusal(run: Run, row: Any, values: dict[str, Any]) -> str:
    name = str(row)
    try:
        with nullcontext() if run.verb.repeatable else transaction.atomic():
            answer = run.verb.act(run.page, run.request, row, **values)
    except PortalError as error:
        return f"{name}: {error.message}"
    if isinstance(answer, HttpResponse):
        run.pages.append(answer)
    return ""


def _summary(verb: Verb, started: int, refusals: list[str]) -> list[list[Any]]:
    values = {"verb": str(verb.label), "started": started, "refused": len(refusals)}
    if verb.immediate:
        text = _("%(verb)s: %(started)d done, %(refused)d refused.") if refusals else _("%(verb)s: %(started)d done.")
    else:
        text = _("%(verb)s: %(started)d started, %(refused)d refused.") if refusals else _("%(verb)s: %(started)d started.")
    level = messages.SUCCESS if not refusals else messages.WARNING if started else messages.ERROR
    lines = [[level, text % values], *([messages.ERROR, line] for line in refusals[:MOST_MESSAGES])]
    more = len(refusals) - MOST_MESSAGES
    if more > 0:
        lines.append([messages.ERROR, ngettext("and %(n)d more.", "and %(n)d more.", more) % {"n": more}])
    return lines


def _ask(run: Run, form: ConfirmForm, preview: Preview | None = None) -> HttpResponse:
    page, request, verb, chosen, rows = run.page, run.request, run.verb, run.chosen, run.chosen.rows
    what = model_ngettext(page.opts, len(rows))
    names = {"verb": str(verb.label), "count": len(rows), "things": what}
    name = str(rows[0]) if len(rows) == 1 else ""
    context = {
        **page.admin_site.each_context(request), "opts": page.opts, "media": page.media + form.media, "form": form,
        "title": f"{verb.label}: {name}" if name else _("%(verb)s: %(count)d %(things)s") % names,
        "rows": [(row, page.row_note(row)) for row in rows], "missing": chosen.missing, "verb": verb, "back": chosen.back,
        "button": f"{verb.label} {name}" if name else _("%(verb)s %(count)d %(things)s") % names,
        "token_name": TOKEN, "token": request.POST.get(TOKEN) or secrets.token_hex(16),
        "preview": preview, "word_name": WORD, "asks_first": run.verb.preview is not None and len(rows) == 1 and not preview,
        "action_name": request.POST.get("action", ""), "checkbox_name": helpers.ACTION_CHECKBOX_NAME,
    }
    request.current_app = page.admin_site.name
    response = TemplateResponse(request, "portal/admin/confirm.html", context)
    response["Cache-Control"] = "no-store"
    return response


def _url_name(page: PortalAdmin, name: str) -> str:
    return f"{page.admin_site.name}:{page.opts.app_label}_{page.opts.model_name}_{name}"
