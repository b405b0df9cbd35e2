"""An endpoint's state as sentences: the title that answers, and what stands beside it."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from endpoints.models import Endpoint
from endpoints.states import NEEDS_PERSON, Status, Wish
from portal.tenancy.text import clean

SAID = 1000


def title(row: Endpoint) -> str:
    """One sentence that says how it is, for the page's head."""
    return _other(row) % {"name": row.name} if not _answers(row) else _answering(row)


def _answers(row: Endpoint) -> bool:
    return row.wish == Wish.RUNNING and row.is_serving


def _other(row: Endpoint) -> str:
    """Of one that does not answer, or soon won't."""
    if row.wish == Wish.DELETED:
        return _("%(name)s is being deleted")
    if row.status == Status.STOPPED:
        return _("%(name)s is stopped")
    if row.status == Status.STOPPING or row.wish == Wish.STOPPED:
        return _("%(name)s is stopping")
    if row.status in NEEDS_PERSON:
        return _("%(name)s needs you: it does not answer")
    if row.status in (Status.PENDING, Status.CREATING):
        return _("%(name)s is on its way")
    return _("%(name)s answers once a call wakes it") if row.status == Status.INSERVICE else _("%(name)s does not answer now")


def _answering(row: Endpoint) -> str:
    said = {"name": row.name, "n": row.ready_replicas, "wanted": row.replicas_now}
    if row.status == Status.UPDATING:
        return _("%(name)s answers while it changes") % said
    if row.status == Status.DEGRADED and row.ready_replicas < row.replicas_now:
        return ngettext("%(name)s answers with %(n)d of %(wanted)d replica",
                        "%(name)s answers with %(n)d of %(wanted)d replicas", row.replicas_now) % said
    return ngettext("%(name)s answers on %(n)d replica", "%(name)s answers on %(n)d replicas", row.ready_replicas) % said


def cause(row: Endpoint) -> str:
    """What the last look said, cleaned; "" where there is nothing to say."""
    return clean(row.message, SAID)


def trouble(row: Endpoint) -> str:
    """Why the last look failed, where it says more than the cause."""
    said = clean(row.last_error, SAID)
    return "" if said == cause(row) else said


def size(row: Endpoint) -> str:
    """Replicas, and what each of them has: “2 × 1 GPU”."""
    resources = (row.wanted.spec.get("resources") or {}) if row.wanted else {}
    gpus, nodes = int(resources.get("gpus") or 0), int(resources.get("nodes") or 1)
    if nodes > 1:
        each = ngettext("%(nodes)d nodes with %(n)d GPU", "%(nodes)d nodes with %(n)d GPUs", gpus) % {"nodes": nodes, "n": gpus}
    elif gpus:
        each = ngettext("%(n)d GPU", "%(n)d GPUs", gpus) % {"n": gpus}
    else:
        each = _("CPU")
    return f"{row.replicas_now} × {each}"
