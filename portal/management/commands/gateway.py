from __future__ import annotations

import asyncio
import logging
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from portal import fieldkeys
from portal.supervisor.gateway import Plan, serve
from portal.supervisor.house import CannotStart

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Serves the gateway alone, in processes that are started again when they die. SIGTERM drains them."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--workers", type=int, default=max(1, settings.PORTAL_GATEWAY_WORKERS))
        parser.add_argument("--port", type=int, default=settings.PORTAL_GATEWAY_PORT)
        parser.add_argument("--admin-port", type=int, default=settings.PORTAL_GATEWAY_ADMIN_PORT)
        parser.add_argument("--drain", type=float, default=settings.PORTAL_GATEWAY_DRAIN_SECONDS,
                            help="seconds that running answers get at the end")

    def handle(self, *args: Any, workers: int, port: int, admin_port: int, drain: float, **options: Any) -> None:
        plan = Plan(workers, settings.PORTAL_BIND, port, settings.PORTAL_GATEWAY_ADMIN_BIND, admin_port,
                    settings.PORTAL_GATEWAY_TUNNEL_PORT, drain, settings.PORTAL_METRICS_TOKEN)
        refusal = fieldkeys.refusal()
        if refusal:
            raise CommandError(refusal, returncode=3)
        connections.close_all()
        try:
            asyncio.run(serve(plan, lambda line: log.info(line.strip())))
        except CannotStart as error:
            raise CommandError(str(error)) from error
