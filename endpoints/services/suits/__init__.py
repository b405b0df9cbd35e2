"""How a model suits each place, by what the portal knows already: no place is asked, so a page may show all of them.

What a place itself says comes with the plan (`plan`), for the one that was chosen.
"""

from .find import cost_of, currency, limits_for, starts_of, suits, suits_of
from .values import Barrier, PlaceSuits, Start, Starts, Suit

__all__ = ["Barrier", "PlaceSuits", "Start", "Starts", "Suit", "cost_of", "currency", "limits_for", "starts_of",
           "suits", "suits_of"]
