"""The portal's server application: the gateway's paths go to the gateway, all else to Django."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django_application = get_asgi_application()

from endpoints.gateway import asgi as gateway  # noqa: E402 - needs Django first
from endpoints.gateway import tunnel  # noqa: E402
from endpoints.gateway.call import Receive, Scope, Send  # noqa: E402
from portal import fieldkeys  # noqa: E402


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


async def _lifespan(receive: Receive, send: Send) -> None:
    with ThreadPoolExecutor(1, "check-keys") as thread:
        refusal = await asyncio.get_running_loop().run_in_executor(thread, fieldkeys.refusal)
    if refusal:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": refusal})
        return
    await gateway.lifespan(receive, send)
