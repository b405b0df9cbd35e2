"""Why is it not ready: evidence of any kind of place, ranked to one cause with the next step. Pure."""

from .evidence import Asked, Condition, Evidence, Happening, Machine, Replica, Trouble
from .findings import Finding, Shown
from .ranking import Explanation, explanation, lines_of, rank

__all__ = [
    "Asked", "Condition", "Evidence", "Explanation", "Finding", "Happening", "Machine", "Replica", "Shown", "Trouble",
    "explanation", "lines_of", "rank",
]
