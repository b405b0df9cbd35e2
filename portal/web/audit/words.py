"""What was done to what, in words. A verb that has none here is shown as it was written."""

from __future__ import annotations

from django.apps import apps
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

VERBS: dict[str, str | Promise] = {
    "create": pgettext_lazy("audit", "made"), "change": pgettext_lazy("audit", "changed"),
    "delete": _("asked to delete"), "deleted": pgettext_lazy("audit", "deleted"),
    "removed": _("removed"), "create key": _("made the key"), "revoke key": _("revoked the key"),
    "add member": _("added the member"), "change member": _("changed the role of"), "remove member": _("removed the member"),
    "invite": _("invited"), "revoke invitation": _("took the invitation back"), "set price": _("set the price"),
    "drop price": _("dropped the price"), "shelve": _("shelved"), "unshelve": _("took off the shelf"),
    "preheat": _("preheated"), "accept licence": _("accepted the licence"), "govern": _("put under governance"),
    "end governance": _("ended the governance"), "connect cluster": pgettext_lazy("audit", "connected"),
    "configure cluster": _("configured"),
    "enrol host": _("enrolled the host"), "forget host": _("forgot the host"), "drain host": _("drained the host"),
    "undrain host": _("ended the draining"), "mark host lost": _("marked the host lost"), "scale": _("scaled"),
    "stop": pgettext_lazy("audit", "stopped"), "start": _("started"), "roll back": _("rolled back"), "update": _("updated"),
    "deploy": _("deployed"), "retry": _("tried again"), "autoscale": _("changed the autoscaling of"),
    "affinity": _("changed how calls are spread over"), "cancel": pgettext_lazy("audit", "cancelled"), "forget": _("forgot"),
    "put back": _("put back what was changed by hand"), "test": pgettext_lazy("audit", "tested"), "send again": _("sent again"),
    "renew secret": _("renewed the secret"), "set token": _("set the token"), "forget token": _("forgot the token"),
}


def kinds() -> dict[str, str]:
    """The label of each kind of row of ours, with its name for people."""
    ours = ("tenancy", "clusters", "models_catalog", "endpoints")
    return {model._meta.label_lower: str(model._meta.verbose_name)
            for label in ours for model in apps.get_app_config(label).get_models()}
