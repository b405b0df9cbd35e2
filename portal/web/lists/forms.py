"""Forms of the pages: what was typed stays, and a refusal stands at its field."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django import forms

from portal.tenancy.errors import PortalError
from portal.tenancy.idempotency import Answer, once

from ..visit import Visit


class OnceForm(forms.Form):
    """A form that makes one thing, however often it is sent: its hidden `once` is drawn with the page."""

    once = forms.CharField(required=False, max_length=36, widget=forms.HiddenInput, initial=lambda: str(uuid4()))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)


def make_once(visit: Visit, form: OnceForm, make: Callable[[], str]) -> tuple[str, bool]:
    """What `make` answers, and whether it was called now rather than for an earlier sending of the same form.

    The answer is stored, so it must be no secret; both are one transaction, so `make` must not talk to the outside.
    """
    calls: list[str] = []

    def answer() -> Answer:
        calls.append(make())
        return Answer(201, calls[-1])

    scope = hashlib.sha256(f"page:{visit.user.pk}:{visit.request.path}".encode()).hexdigest()[:48]
    given = once(scope=scope, key=form.cleaned_data["once"], body=b"", make=answer)
    return str(given.body), bool(calls)


def is_first(visit: Visit, form: OnceForm) -> bool:
    """Whether this form is sent for the first time: for what can't be done in a transaction."""
    return make_once(visit, form, str)[1]


def refuse(form: forms.Form, error: PortalError) -> int:
    """Put the refusal at its field, or above the form where it has none; the status that the page answers with.

    The form may be sent again, so it gets a new `once`.
    """
    form.add_error(error.field if error.field in form.fields else None, error.message)
    if "once" in form.fields:
        form.data = {**{name: form[name].data for name in form.fields}, "once": str(uuid4())}
    return error.status
