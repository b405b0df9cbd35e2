from django.apps import AppConfig
from django.conf import settings
from django.utils.translation import gettext_lazy as _


class ModelsCatalogConfig(AppConfig):
    name = "models_catalog"
    verbose_name = _("Models")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Services send tasks by name, so every process must know the names.
        if not settings.PORTAL_ONLY_GATEWAY:
            from . import tasks  # noqa: F401
