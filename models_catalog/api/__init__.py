"""Routes for the catalogue: vendors, models, artifacts, profiles, engine releases and copies in clusters."""

from . import copies, jumpstart, writes
from .reads import router

# The files fill one router: two routers with the same path would hide each other's methods.
__all__ = ["copies", "jumpstart", "router", "writes"]
