from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WebConfig(AppConfig):
    name = "portal.web"
    label = "web"
    verbose_name = _("Tenant's portal")

    def ready(self) -> None:
        from .account import journal  # models are there from now on

        journal.follow()
