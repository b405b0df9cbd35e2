"""Time tells neither which keys exist nor which objects a neighbour has (T35, T62)."""

from __future__ import annotations

import random
import uuid

import pytest

from endpoints import services
from portal.tenancy import auth
from portal.tenancy.strikes import Strikes
from tests.cast import Cast, make_cluster, make_profile
from tests.faults.mannwhitney import cannot_be_told_apart, p_value
from tests.portal.apiclient import Api, by_key, key_text

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def test_the_measure_tells_equal_samples_from_different_ones() -> None:
    draw = random.Random(7)
    one, same = ([draw.lognormvariate(0, 0.2) for _ in range(500)] for _ in range(2))
    assert p_value(one, same) > 0.01
    assert p_value(one, [value * 1.05 for value in same]) < 0.01
    assert p_value([1.0] * 30, [1.0] * 30) == 1.0


def test_an_unknown_key_takes_as_long_as_a_wrong_secret(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "strikes", Strikes(10**6))
    text = key_text(cast.alice, cast.alpha)
    unknown = Api(key=f"sk-{'z' * 16}-{'a' * 43}")
    wrong = Api(key=text[:-1] + ("A" if text[-1] != "A" else "B"))
    assert unknown.get("workspaces").status_code == wrong.get("workspaces").status_code == 401
    assert cannot_be_told_apart(lambda: unknown.get("workspaces"), lambda: wrong.get("workspaces"))


def test_a_neighbours_endpoint_takes_as_long_as_a_missing_one(cast: Cast) -> None:
    theirs = services.create(cast.actor("alice"), cast.alpha, name="theirs", cluster=make_cluster(), profile=make_profile())
    charlie = by_key(cast.charlie, cast.beta)
    found, missing = f"endpoints/{theirs.uid}", f"endpoints/{uuid.uuid4()}"
    assert charlie.get(found).status_code == charlie.get(missing).status_code == 404
    assert cannot_be_told_apart(lambda: charlie.get(found), lambda: charlie.get(missing))
