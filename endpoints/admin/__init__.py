"""The admin of endpoints."""

from .history import EventAdmin, RevisionAdmin
from .page import EndpointAdmin

__all__ = ["EndpointAdmin", "EventAdmin", "RevisionAdmin"]
