"""Several wishes for one endpoint at once: all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from endpoints.models import Endpoint
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, NotFound
from portal.tenancy.roles import Verb

from .wishes import scale, set_affinity, set_autoscale, update

OF_A_REVISION = ("profile", "arguments", "environment", "devices", "options")


@retry_tx
def change(
    actor: Actor, endpoint: Endpoint, *, replicas: int | None = None, affinity: str | None = None,
    autoscale: Mapping[str, Any] | None = None, note: str = "", expected_generation: int | None = None, **revision: Any,
) -> Endpoint:
    """Wish everything that is given and differs; `revision` takes what `update` takes. What is None stays.

    Raises NotFound, NotAllowed, Invalid, QuotaExceeded, Stale, and Conflict where nothing differs.
    """
    actor.require(Verb.DEPLOY, endpoint.workspace)
    row = Endpoint.objects.select_related("workspace", "cluster", "wanted__profile").filter(pk=endpoint.pk).first()
    if row is None:
        raise NotFound()
    expected = row.generation if expected_generation is None else expected_generation
    began = row.generation
    if autoscale == {} and row.autoscale:
        set_autoscale(actor, row, {}, expected_generation=expected)
        expected = row.generation
    if replicas is not None and replicas != row.replicas:
        scale(actor, row, replicas, expected_generation=expected)
        expected = row.generation
    if affinity is not None and affinity != row.affinity:
        set_affinity(actor, row, affinity, expected_generation=expected)
        expected = row.generation
    given = {name: revision[name] for name in OF_A_REVISION if revision.get(name) is not None}
    if given:
        update(actor, row, note=note, expected_generation=expected, **given)
        expected = row.generation
    if autoscale:
        set_autoscale(actor, row, autoscale, expected_generation=expected)
    if row.generation == began:
        raise Conflict(_("Nothing differs from what is wished already."), code="no_change")
    return row
