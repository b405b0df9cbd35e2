"""The Celery app. A message is only a hint; the rows and the sweep carry the promise (docs/lifecycle.md)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.exceptions import InvalidTaskError
from celery.worker.strategy import default

from . import file_broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")


def only_tasks(*args: Any, **named: Any) -> Callable[..., Any]:
    """Celery's own way to handle a message, for messages that are a task at all.

    Without this a message whose JSON is a number, or that is raw bytes, ends the worker's loop.
    """
    handle = default(*args, **named)

    def checked(message: Any, *rest: Any, **more: Any) -> Any:
        if not isinstance(message.payload, list | tuple | dict):
            raise InvalidTaskError("the message is not a task")
        return handle(message, *rest, **more)

    return checked


file_broker.install()
app = Celery("portal")
app.Task.Strategy = "portal.celery:only_tasks"
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["portal.tenancy", "clusters", "models_catalog", "endpoints", "portal.web"])
