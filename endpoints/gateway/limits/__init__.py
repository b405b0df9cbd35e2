"""Limits and budgets: reserve before a call, settle after it with what was really used (docs/limits.md)."""

from .seam import Ask, Limits, Reservation, Unlimited, Usage
from .shared import SharedLimits

__all__ = ["Ask", "Limits", "Reservation", "SharedLimits", "Unlimited", "Usage"]
