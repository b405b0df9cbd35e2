from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.doctor import examine


class Command(BaseCommand):
    help = "Checks this installation and says what is wrong and what to do. Exit code 1 where there is a fault."
    requires_system_checks = ()
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        faults = 0
        for finding in examine():
            faults += finding.state == "fault"
            self.stdout.write(f"{finding.state.upper() if finding.state == 'fault' else finding.state:<6}"
                              f"{finding.name:<12}{finding.text}")
            if finding.advice:
                self.stdout.write(f"{'':<18}-> {finding.advice}")
        if faults:
            raise CommandError(ngettext("%(count)d fault.", "%(count)d faults.", faults) % {"count": faults})
        self.stdout.write(_("No faults."))
