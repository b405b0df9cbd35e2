from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from . import lookups


class TenancyConfig(AppConfig):
    name = "portal.tenancy"
    label = "tenancy"
    verbose_name = _("Workspaces and access")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        lookups.register()
