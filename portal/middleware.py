"""The shape of a middleware that works in both chains, so that no link of ours holds a thread while a request waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse


class Middleware:
    """Subclasses say what happens `before` a request is answered and `after`."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self.get_response):
            return self._answer(request)
        self.before(request)
        return self.after(request, self.get_response(request))

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        self.before(request)
        return self.after(request, await self.get_response(request))

    def before(self, request: HttpRequest) -> None:
        """Called before the rest of the chain."""

    def after(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Called with the chain's answer; returns what goes out."""
        return response
