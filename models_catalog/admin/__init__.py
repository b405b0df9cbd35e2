from .model import CatalogModelAdmin
from .profile import ProfileAdmin
from .release import EngineReleaseAdmin
from .vendor import VendorAdmin

__all__ = ["CatalogModelAdmin", "EngineReleaseAdmin", "ProfileAdmin", "VendorAdmin"]
