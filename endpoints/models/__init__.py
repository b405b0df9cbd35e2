from .backend import Backend
from .endpoint import Endpoint, EndpointQuerySet
from .governance import TaskGovernance, TaskGovernanceQuerySet
from .history import Event, Revision
from .routes import Canary, CanaryState, Route, RouteChange, RouteQuerySet, RouteTarget, TargetRole

__all__ = [
    "Backend", "Canary", "CanaryState", "Endpoint", "EndpointQuerySet", "Event", "Revision", "Route", "RouteChange",
    "RouteQuerySet", "RouteTarget", "TargetRole", "TaskGovernance", "TaskGovernanceQuerySet",
]
