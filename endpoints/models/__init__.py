from .backend import Backend
from .endpoint import Endpoint, EndpointQuerySet
from .history import Event, Revision

__all__ = ["Backend", "Endpoint", "EndpointQuerySet", "Event", "Revision"]
