"""Whether this process has the keys that the database's secrets were encrypted with, asked before it serves."""

from __future__ import annotations

import logging

from django.db import Error, connection

from portal.tenancy.fields import SecretUnreadable
from portal.tenancy.models import Instance

log = logging.getLogger(__name__)

WRONG_KEYS = ("portal: refusing to start: PORTAL_FIELD_KEYS has not the key that this database's secrets "
              "were encrypted with.")


def refusal() -> str:
    """Why nothing must start, or "". A database that is away is no reason: nothing can be written to it."""
    try:
        Instance.check_keys()
    except SecretUnreadable:
        return WRONG_KEYS
    except Error as error:
        log.warning("field keys not checked, the database is away", extra={"error": type(error).__name__})
    finally:
        connection.close()
    return ""
