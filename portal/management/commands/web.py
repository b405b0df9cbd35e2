from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from endpoints.gateway.serving.server import server


class Command(BaseCommand):
    help = "Serves the portal: pages, API and the gateway in one process. “manage.py up” and the image start it."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--drain", type=float, default=8.0, help="seconds that running answers get at the end")

    def handle(self, *args: Any, drain: float, **options: Any) -> None:
        server("portal.asgi:application", drain, host=settings.PORTAL_BIND, port=settings.PORTAL_PORT,
               proxy_headers=settings.PORTAL_BEHIND_PROXY).run()
