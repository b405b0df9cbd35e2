"""Names are found whatever their case, on every database, and what looks like a pattern is none."""

from __future__ import annotations

import pytest

from portal.tenancy.models import User
from tests.cast import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.mark.parametrize(("name", "lookup", "typed", "is_found"), [
    ("Dora", "iexact", "dORA", True), ("Dora", "iexact", "dor", False), ("do_ra", "iexact", "DO_RA", True),
    ("doxra", "iexact", "do_ra", False), ("Dora", "icontains", "OR", True), ("Dora", "icontains", "o%a", False),
    ("do_ra", "icontains", "O_R", True), ("doxra", "icontains", "o_r", False), ("Dora", "istartswith", "dO", True),
    ("Dora", "istartswith", "or", False), ("doxra", "istartswith", "do_", False), ("do_ra", "istartswith", "DO_", True),
])
def test_case_counts_for_nothing(name: str, lookup: str, typed: str, is_found: bool) -> None:
    make_user(name)
    assert User.objects.filter(**{f"username__{lookup}": typed}).exists() is is_found
