"""The portal's server application: the gateway's paths go to the gateway, all else to Django."""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor

from django.core.asgi import get_asgi_application
from django.db import Error, connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django_application = get_asgi_application()

from endpoints.gateway import asgi as gateway  # noqa: E402 - needs Django first
from endpoints.gateway import tunnel  # noqa: E402
from endpoints.gateway.call import Receive, Scope, Send  # noqa: E402
from portal.tenancy.fields import SecretUnreadable  # noqa: E402
from portal.tenancy.models import Instance  # noqa: E402

log = logging.getLogger(__name__)

WRONG_KEYS = ("portal: refusing to start: PORTAL_FIELD_KEYS has not the key that this database's secrets "
              "were encrypted with.")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Dispatch by the decoded path, so that no spelling of /v1 reaches Django's routes by accident."""
    if scope["type"] == "http":
        if gateway.is_gateways(scope["path"]):
            await gateway.gateway(scope, receive, send)
        else:
            await django_application(scope, receive, send)  # type: ignore[arg-type]
    elif scope["type"] == "lifespan":
        await _lifespan(receive, send)
    else:
        await tunnel.application(scope, receive, send)


def _wrong_keys() -> str:
    """Why the portal must not start, or "". A database that is away is no reason: nothing can be written to it."""
    try:
        Instance.check_keys()
    except SecretUnreadable:
        return WRONG_KEYS
    except Error as error:
        log.warning("field keys not checked, the database is away", extra={"error": type(error).__name__})
    finally:
        connection.close()
    return ""


async def _lifespan(receive: Receive, send: Send) -> None:
    with ThreadPoolExecutor(1, "check-keys") as thread:
        refusal = await asyncio.get_running_loop().run_in_executor(thread, _wrong_keys)
    if refusal:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": refusal})
        return
    await gateway.lifespan(receive, send)
