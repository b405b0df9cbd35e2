"""The admin of endpoints."""

from .governance import TaskGovernanceAdmin
from .history import EventAdmin, RevisionAdmin
from .page import EndpointAdmin

__all__ = ["EndpointAdmin", "EventAdmin", "RevisionAdmin", "TaskGovernanceAdmin"]
