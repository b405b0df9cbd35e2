from .model import Artifact, CatalogModel, Vendor
from .profile import EngineRelease, Profile

__all__ = ["Artifact", "CatalogModel", "EngineRelease", "Profile", "Vendor"]
