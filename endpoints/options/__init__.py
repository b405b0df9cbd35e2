"""What only one kind of place knows about an endpoint, checked before it is wished: a revision keeps it as `options`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from clusters.models import Cluster
from portal.tenancy.errors import Invalid


def check_options(cluster: Cluster, spec: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as a revision keeps them. Raises Invalid (field ``options``)."""
    if options:
        raise Invalid(_("Places of this kind have no options of their own."), field="options")
    return {}
