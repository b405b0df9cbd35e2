from .alerts import SECRET_PREFIX, AlertChannel, AlertChannelQuerySet, Delivery, DeliveryQuerySet
from .backend import Backend
from .endpoint import Endpoint, EndpointQuerySet
from .governance import TaskGovernance, TaskGovernanceQuerySet
from .history import Event, Revision
from .loadtests import LoadTest, LoadTestQuerySet
from .routes import Canary, CanaryState, Route, RouteChange, RouteQuerySet, RouteTarget, TargetRole
from .traffic import (
    FIRST_BYTE_BOUNDS,
    GpuHour,
    SpoolPosition,
    SummedDay,
    TokenPrice,
    TokenPriceQuerySet,
    TrafficMinute,
    UsageDay,
    UsageHour,
    UsageQuerySet,
)

__all__ = [
    "FIRST_BYTE_BOUNDS", "SECRET_PREFIX", "AlertChannel", "AlertChannelQuerySet", "Backend", "Canary", "CanaryState",
    "Delivery", "DeliveryQuerySet", "Endpoint", "EndpointQuerySet", "Event", "GpuHour", "LoadTest", "LoadTestQuerySet",
    "Revision", "Route", "RouteChange", "RouteQuerySet", "RouteTarget", "SpoolPosition", "SummedDay", "TargetRole",
    "TaskGovernance", "TaskGovernanceQuerySet", "TokenPrice", "TokenPriceQuerySet", "TrafficMinute", "UsageDay", "UsageHour",
    "UsageQuerySet",
]
