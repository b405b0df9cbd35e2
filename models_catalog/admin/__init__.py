from .artifact import ArtifactAdmin
from .copy import ModelCopyAdmin
from .model import CatalogModelAdmin
from .profile import ProfileAdmin
from .release import EngineReleaseAdmin
from .vendor import VendorAdmin

__all__ = ["ArtifactAdmin", "CatalogModelAdmin", "EngineReleaseAdmin", "ModelCopyAdmin", "ProfileAdmin", "VendorAdmin"]
