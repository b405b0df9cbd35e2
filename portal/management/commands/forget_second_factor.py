from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.tenancy import audit
from portal.tenancy.actor import PORTAL
from portal.tenancy.models import User
from portal.web.account import sessions


class Command(BaseCommand):
    help = "Takes a person's passkeys, authenticator app and recovery codes away, after all of them were lost."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"there is no {username}")
        gone, _by_kind = Authenticator.objects.filter(user=user).delete()
        ended = sessions.end_others(user, None)
        audit.record(PORTAL, "remove second factor", user, after={"type": "all"})
        self.stdout.write(f"{username}: {gone} removed, signed out of {ended} browsers; a password is enough now")
