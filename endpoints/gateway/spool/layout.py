"""How calls lie in the files of a spool.

`slots` holds the calls in flight. Its first block is the header: what the file is, and how many records were ever
written. The records of ended calls lie in files of `RECORDS_A_FILE` each, named by the number of their first record.

All blocks have 128 bytes, so that none crosses a page. A word that makes a block count (a slot's call, the header's
number of records) is written after the rest, by one aligned store: a process that is killed anywhere leaves either
the whole block or none. A record ends with its own number, so that what a power cut left of one is known as torn.
"""

from __future__ import annotations

import struct

BLOCK = 128
WORDS = BLOCK // 8
MAGIC = 0x31_4C_4F_4F_50_53_50_49  # "IPSPOOL1", little-endian; another layout gets another number
SLOTS = 32_768  # a file of 4 MiB; of it only what is used costs memory
RECORDS_A_FILE = 32_768

# Words of the header.
KIND, WRITTEN = 0, 1
# Words of a slot: the number of its call, 0 when it is free; and the new tokens so far.
CALL, TOKENS = 0, 1

# Who, where and for how much, in slots and in records: workspace, member, key, endpoint, route; micro-units a token of
# the prompt, the answer and the cached prompt; the door; the guess at the prompt's tokens.
IDENTITY = struct.Struct("@5q3d2I")
IDENTITY_IN_SLOT = 16
# What became of it: tokens of prompt, answer and cache; minute since 1970, status, flags; seconds to the first byte
# and in all; the number of the call and of this record.
RESULT = struct.Struct("@3qI2H2f2Q")
KEY_BYTES = 68  # of the identity, without the guess: what records are grouped by
KEY = struct.Struct("@5q3dI")
# What a call begins with, behind its number: no tokens yet, the identity and the guess.
BEGIN = struct.Struct(f"@q{KEY_BYTES}sI")
BEGIN_IN_SLOT = 8
# A whole record, as it is written and as it is read: identity, guess, and what became of it.
ENDED = struct.Struct(f"@{IDENTITY.size}s{RESULT.format[1:]}")
RECORD = struct.Struct(f"@{KEY_BYTES}sI{RESULT.format[1:]}")

# Flags: the engine failed; tokens are those that came by until the cut; the gateway refused; a call that went on elsewhere.
ERROR, PARTIAL, REFUSED, ATTEMPT = 1, 2, 4, 8
CUT = 499  # the status of a call whose caller, or whose gateway, went away
MOST_TOKENS = 2**31 - 1  # of one call that are believed


def name_of(*, key_id: int, member_id: int, workspace_id: int, route_id: int, endpoint_id: int, door: int,
            price: tuple[float, float, float]) -> bytes:
    """The identity of a call without its guess. Prices are micro-units a token of the prompt, the answer, the cache."""
    return KEY.pack(workspace_id, member_id, key_id, endpoint_id, route_id, *price, door)
