"""Where a call comes from: the line's other end, or the word of the operator's own proxy."""

from __future__ import annotations

from typing import Any

import pytest

from portal.tenancy.callers import NOWHERE, address, place


@pytest.mark.parametrize(("peer", "forwarded", "alone", "behind_proxy"), [
    ("192.0.2.1", "", "192.0.2.1", "192.0.2.1"),
    ("192.0.2.1", "198.51.100.7", "192.0.2.1", "198.51.100.7"),
    ("192.0.2.1", "203.0.113.1, 198.51.100.7", "192.0.2.1", "198.51.100.7"),
    ("192.0.2.1", "198.51.100.7:443", "192.0.2.1", "198.51.100.7"),
    ("192.0.2.1", "[2001:db8::1]:443", "192.0.2.1", "2001:db8::1"),
    ("192.0.2.1", "203.0.113.1, nonsense", "192.0.2.1", "192.0.2.1"),
    ("::ffff:192.0.2.1", "", "192.0.2.1", "192.0.2.1"),
    ("fe80::1%eth0", "", "fe80::1", "fe80::1"),
    ("", "", NOWHERE, NOWHERE),
    ("unix:", "\x00", NOWHERE, NOWHERE),
])
def test_the_address_of_a_caller(settings: Any, peer: str, forwarded: str, alone: str, behind_proxy: str) -> None:
    settings.PORTAL_BEHIND_PROXY = False
    assert address(peer, forwarded) == alone
    settings.PORTAL_BEHIND_PROXY = True
    assert address(peer, forwarded) == behind_proxy


@pytest.mark.parametrize(("text", "counted_as"), [
    ("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::/64"), ("2001:db8::ffff:0:1", "2001:db8::/64"),
    ("2001:db8:0:1::1", "2001:db8:0:1::/64"), (NOWHERE, NOWHERE),
])
def test_what_counts_as_one_place(text: str, counted_as: str) -> None:
    assert place(text) == counted_as
