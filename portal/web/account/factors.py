"""Key rotation for what second factors keep: the secrets of apps, and the seeds of recovery codes."""

from __future__ import annotations

from allauth.mfa.models import Authenticator

from portal.tenancy.db import retry_tx
from portal.tenancy.fields import resealed

from .adapter import SecondFactorAdapter

SECRETS = {Authenticator.Type.TOTP: "secret", Authenticator.Type.RECOVERY_CODES: "seed"}


def rewrap_factors() -> int:
    """Encrypt every secret of a second factor with the newest key; how many changed. Raises SecretUnreadable."""
    rows = Authenticator.objects.filter(type__in=list(SECRETS)).values_list("pk", flat=True)
    return sum(map(_rewrap, rows.iterator()))


@retry_tx
def _rewrap(pk: int) -> int:
    row = Authenticator.objects.filter(pk=pk).first()
    if row is None:
        return 0
    name = SECRETS[row.type]
    fresh = resealed(row.data[name], SecondFactorAdapter.BOUND_TO)
    if fresh == row.data[name]:
        return 0
    # Only where nobody used a code meanwhile, which the same column counts.
    unchanged = Authenticator.objects.filter(pk=pk, data=row.data)
    changed: int = unchanged.update(data={**row.data, name: fresh})
    return changed
