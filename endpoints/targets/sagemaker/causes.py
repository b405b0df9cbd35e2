"""What SageMaker's own words for a failure mean. The first that fits counts; the words are of its documentation and of
people's reports, not verified on an account of ours.
"""

from __future__ import annotations

import re

from endpoints.states import Cause

_WORDS: tuple[tuple[Cause, str], ...] = (
    (Cause.QUOTA, r"ResourceLimitExceeded|service limit|account-level (?:service )?limit|quota"),
    (Cause.NO_ROOM, r"InsufficientInstanceCapacity|InsufficientCapacity|insufficient capacity|not enough (?:\S+ )?capacity|"
                    r"Unable to provision (?:requested )?(?:ML )?compute"),
    (Cause.IMAGE, r"\bECR\b|container image|pull(?:ing)? (?:the )?image|RepositoryNotFound|manifest unknown|"
                  r"image .*(?:not exist|not found|platform)"),
    (Cause.GATED, r"gated|EULA|AcceptEula|401 Client Error"),
    (Cause.FORBIDDEN, r"AccessDenied|Access denied|not authorized|does not have permission|Forbidden|could not assume|"
                      r"Failed to assume|is not allowed"),
    (Cause.MODEL_MISSING, r"model data .*(?:not found|no objects)|No S3 objects|Could not find model data|NoSuchKey|"
                          r"NoSuchBucket|Failed to download model data"),
    (Cause.DISK_FULL, r"No space left|disk (?:is )?full|not enough disk|exceeds? the (?:available )?(?:storage|volume)"),
    (Cause.MEMORY, r"CUDA out of memory|OutOfMemory|out of memory|not have enough memory|OOM"),
    (Cause.PROBE, r"ping health check|health check|did not pass|failed to start|not responding to ping"),
    (Cause.NETWORK, r"subnet|security group|\bVPC\b|network interface"),
)
_RULES = tuple((cause, re.compile(words, re.IGNORECASE | re.DOTALL)) for cause, words in _WORDS)


def cause_of(reason: str) -> Cause:
    """NONE for no words, ERROR for words that say nothing known."""
    if not reason:
        return Cause.NONE
    return next((cause for cause, words in _RULES if words.search(reason)), Cause.ERROR)
