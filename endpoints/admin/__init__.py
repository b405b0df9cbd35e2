"""The admin of endpoints."""

from .alerts import AlertChannelAdmin, DeliveryAdmin
from .governance import TaskGovernanceAdmin
from .history import EventAdmin, RevisionAdmin
from .limits import LimitAdmin
from .page import EndpointAdmin
from .routes import RouteAdmin
from .token_prices import TokenPriceAdmin
from .usage import UsageHourAdmin

__all__ = [
    "AlertChannelAdmin", "DeliveryAdmin", "EndpointAdmin", "EventAdmin", "LimitAdmin", "RevisionAdmin",
    "RouteAdmin", "TaskGovernanceAdmin", "TokenPriceAdmin", "UsageHourAdmin",
]
