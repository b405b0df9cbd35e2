"""Routes for the catalogue: vendors, models, artifacts, profiles and engine releases."""

from . import writes
from .reads import router

# Both files fill one router: two routers with the same path would hide each other's methods.
__all__ = ["router", "writes"]
