from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from django.utils.translation import gettext as _

from clusters.models import Cluster
from endpoints.planning.memory import MemorySum
from models_catalog.models import Profile

# By place and profile, in seconds.
Starts = Mapping[tuple[int, int], int]


class Barrier(StrEnum):
    """What keeps a profile out for good, where it is not the size of the memory."""

    NONE = ""
    ACCESS = "access"    # the hub gives the weights to those with a token only
    WEIGHTS = "weights"  # such places can't load weights of this kind
    IMAGE = "image"      # the engine release has no image for such places
    GPU = "gpu"          # there is no GPU
    ENGINE = "engine"    # no host there has the engine release


@dataclass(frozen=True)
class Start:
    """How long a start takes, in seconds: the median of the last ones there, else by the size of the weights."""

    seconds: int
    is_measured: bool


@dataclass(frozen=True)
class Suit:
    """How one profile suits a place. `replicas` have room now, None where nobody knows; `why_not` is empty where it fits.

    `is_full` says that only others keep it out now. `memory` is the sum on the device that it would get, where it is known.
    `instances` are the types to choose from in AWS, the cheapest first; `per_hour` is what a replica costs on the first.
    """

    profile: Profile
    replicas: int | None
    why_not: str
    start: Start
    has: str = ""
    instances: tuple[str, ...] = ()
    per_hour: Decimal | None = None
    is_full: bool = False
    barrier: Barrier = Barrier.NONE
    memory: MemorySum | None = None

    @property
    def fits(self) -> bool:
        return not self.why_not


@dataclass(frozen=True)
class PlaceSuits:
    """A place with the profiles of a model that are made for it, the best first; `why_not` where nothing can go there."""

    cluster: Cluster
    suits: tuple[Suit, ...]
    why_not: str = ""

    @property
    def best(self) -> Suit | None:
        return next(iter(self.suits), None)

    @property
    def fits(self) -> bool:
        return not self.why_not and self.best is not None and self.best.fits

    @property
    def reason(self) -> str:
        """Why not, in a sentence."""
        return self.why_not or (self.best.why_not if self.best else _("No profile of this model is made for such places."))

    def of(self, slug: str) -> Suit | None:
        return next((suit for suit in self.suits if suit.profile.slug == slug), None)
