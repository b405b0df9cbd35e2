"""What a call may use, before it, and what it has cost, after it. Pure."""

from __future__ import annotations

from math import ceil

from ..snapshot import Price
from .seam import Usage

BYTES_A_TOKEN = 4  # of English text; the words of JSON around it make the estimate higher, not lower
NEW_TOKENS = 1024  # reserved for an answer whose caller names no maximum


def prompt_estimate(body_bytes: int) -> int:
    """Tokens of a prompt whose body has so many bytes."""
    return body_bytes // BYTES_A_TOKEN + 1


def cost(usage: Usage, price: Price | None) -> int:
    """Micro-units of the currency, rounded up. Without a price a call costs nothing."""
    if price is None:
        return 0
    fresh = max(usage.prompt_tokens - usage.cached_tokens, 0)
    return ceil(fresh * price.prompt + usage.cached_tokens * price.cached + usage.completion_tokens * price.completion)
