from .copy import ModelCopy
from .model import Artifact, CatalogModel, Vendor
from .profile import EngineRelease, Profile

__all__ = ["Artifact", "CatalogModel", "EngineRelease", "ModelCopy", "Profile", "Vendor"]
