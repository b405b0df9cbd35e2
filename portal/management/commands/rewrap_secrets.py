from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.tenancy.fields import SecretUnreadable
from portal.tenancy.rotation import rewrap_all
from portal.web.account.factors import rewrap_factors


class Command(BaseCommand):
    help = "Encrypts every stored secret with the first key of PORTAL_FIELD_KEYS. Then the old keys can go."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            changed = rewrap_all() + rewrap_factors()
        except SecretUnreadable as error:
            raise CommandError(f"A secret has no key among PORTAL_FIELD_KEYS: {error}. Put the old key back.") from error
        self.stdout.write(f"{changed} secrets encrypted with the newest key.")
