"""The gateway as an ASGI application: inside the portal's own process, or served alone."""

from __future__ import annotations

import os

import django
from django.apps import apps
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
if not apps.ready:
    django.setup()

from endpoints.hub import HUB  # after the set-up

from .call import Message, Receive, Scope, Send  # after the set-up
from .doors import DOORS
from .gateway import Gateway
from .limits.compose import shared_limits
from .spool import Spool
from .tunnel import application as tunnel

__all__ = ["application", "gateway", "is_gateways", "lifespan", "tunnel"]

gateway = Gateway(limits=shared_limits(), spool=Spool(settings.PORTAL_SPOOL_DIR))
# Calls of other systems that the portal answers, under the gateway's root.
PORTALS = ("/v1/deployments/", *(f"/v1/{name}/" for name in HUB))


def is_gateways(path: str) -> bool:
    """Whether the gateway answers this path; deepinfer's and the hub's calls are the portal's own."""
    return path in DOORS or (path.startswith("/v1/") and not f"{path}/".startswith(PORTALS))


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve HTTP and agents' tunnels; start and stop with the server's lifespan."""
    if scope["type"] == "http":
        await gateway(scope, receive, send)
    elif scope["type"] == "lifespan":
        await lifespan(receive, send)
    else:
        await tunnel(scope, receive, send)


async def _started() -> Message:
    try:
        await gateway.start()
    except OSError as error:
        return {"type": "lifespan.startup.failed", "message": f"there is no place to write down usage: {error}"}
    return {"type": "lifespan.startup.complete"}


async def lifespan(receive: Receive, send: Send) -> None:
    """Start the gateway when the server starts, drain it when it stops."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send(await _started())
        else:
            await gateway.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
