"""Static files in the asynchronous chain.

WhiteNoise's own middleware is synchronous only. One such link makes Django hold a thread for every request that
waits, and each host's agent has one that waits all the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]
    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        return self._answer(request) if self._is_async else super().__call__(request)

    async def _answer(self, request: HttpRequest) -> Any:
        found = self.find_file(request.path_info) if self.autorefresh else self.files.get(request.path_info)
        if found is None:
            return await self.get_response(request)
        return await sync_to_async(self._whole)(found, request)

    def _whole(self, found: Any, request: HttpRequest) -> HttpResponse:
        """The file in one piece: a server of our kind sends a file that is streamed synchronously no sooner."""
        streamed = self.serve(found, request)
        try:
            body = b"".join(streamed.streaming_content)
        finally:
            streamed.close()
        return HttpResponse(body, status=streamed.status_code, headers=streamed.headers)
