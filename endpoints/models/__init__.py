from .backend import Backend
from .endpoint import Endpoint, EndpointQuerySet
from .governance import TaskGovernance, TaskGovernanceQuerySet
from .history import Event, Revision

__all__ = ["Backend", "Endpoint", "EndpointQuerySet", "Event", "Revision", "TaskGovernance", "TaskGovernanceQuerySet"]
