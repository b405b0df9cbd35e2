"""The Celery app. A message is only a hint; the rows and the sweep carry the promise (docs/lifecycle.md)."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["portal.tenancy", "clusters", "models_catalog", "endpoints"])
