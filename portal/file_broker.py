"""Celery's broker in a folder, for one machine: kombu's own, but a message is there whole or not at all.

kombu opens a message's file before it writes it. A full disk, or a worker that reads in between, makes an empty
message of that, and an empty message ends the worker.
"""

from __future__ import annotations

import logging
import time
import uuid
from pathlib import Path
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps

log = logging.getLogger(__name__)


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: dict[str, Any], **kwargs: Any) -> None:  # type: ignore[override]  # as its base
        whole = Path(self.data_folder_out) / f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        partial = whole.with_suffix(".part")
        try:
            partial.write_bytes(str_to_bytes(dumps(payload)))
            partial.rename(whole)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise ChannelError(f"a message was not written: {error.strerror}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        """The next message. One that can't be read is gone by now; the sweep knows what it asked for."""
        while True:
            try:
                message = super()._get(queue)
            except ValueError:
                message = None
            if isinstance(message, dict):
                return message
            log.warning("an unreadable message was dropped")


class Transport(filesystem.Transport):
    Channel = Channel


def install() -> None:
    """Let ``filesystem://`` mean this transport."""
    TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"
