"""The admin of endpoints."""

from .page import EndpointAdmin

__all__ = ["EndpointAdmin"]
