"""Of django-allauth the administration shows nothing: secrets, tokens and sessions are each person's own."""

from __future__ import annotations

from django.apps import apps
from django.contrib import admin

for _app in ("account", "mfa", "socialaccount", "usersessions"):
    for _model in apps.get_app_config(_app).get_models():
        if admin.site.is_registered(_model):
            admin.site.unregister(_model)
