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
    """The row is held meanwhile, by its lock or by SQLite's one writer: its other half counts the codes that were used."""
    row = Authenticator.objects.select_for_update().filter(pk=pk).first()
    if row is None:
        return 0
    name = SECRETS[row.type]
    fresh = resealed(row.data[name], SecondFactorAdapter.BOUND_TO)
    if fresh == row.data[name]:
        return 0
    row.data[name] = fresh
    row.save(update_fields=["data"])
    return 1
