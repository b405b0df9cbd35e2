from .copy import ModelCopy
from .licence import EulaAcceptance
from .model import Artifact, CatalogModel, Vendor
from .profile import EngineRelease, Profile

__all__ = ["Artifact", "CatalogModel", "EngineRelease", "EulaAcceptance", "ModelCopy", "Profile", "Vendor"]
