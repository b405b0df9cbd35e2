"""Which price holds for an endpoint, and that the gateway learns of it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from clusters.models import Cluster
from endpoints import services
from endpoints.gateway.loader import Loader
from endpoints.gateway.snapshot import Price
from endpoints.models import Endpoint, TokenPrice
from endpoints.token_prices import Priced, TokenPrices
from models_catalog.models import Profile
from tests.cast import Cast, make_cluster, make_profile

HERE, ELSEWHERE, OURS, MODEL, OTHER = 10, 11, 20, 30, 31
ENDPOINT = Priced(workspace_id=OURS, public_name="acme/chat", cluster_id=HERE, model_id=MODEL)
NAME_HERE = (None, OURS, "acme/chat", HERE)
NAME = (None, OURS, "acme/chat", None)
MODEL_HERE = (MODEL, None, "", HERE)
MODEL_ANYWHERE = (MODEL, None, "", None)
OTHERS = [(None, OURS, "acme/chat", ELSEWHERE), (MODEL, None, "", ELSEWHERE), (OTHER, None, "", None),
          (None, OURS + 1, "acme/chat", None), (None, OURS, "acme", None)]


@pytest.mark.parametrize(("subjects", "found"), [
    ([NAME_HERE, NAME, MODEL_HERE, MODEL_ANYWHERE], 0), ([NAME, MODEL_HERE, MODEL_ANYWHERE], 0),
    ([MODEL_HERE, MODEL_ANYWHERE], 0), ([MODEL_ANYWHERE], 0), ([], None),
    # A later row of the same subject replaces an earlier one, whatever else comes in between.
    ([MODEL_ANYWHERE, MODEL_HERE, MODEL_ANYWHERE], 1), ([MODEL_HERE, MODEL_ANYWHERE, MODEL_HERE], 2),
])
def test_the_most_specific_price_holds(subjects: list[tuple[Any, ...]], found: int | None) -> None:
    rows = [(*one, Decimal(at), Decimal(1), None) for at, one in enumerate(subjects)]
    rows += [(*one, Decimal(99), Decimal(99), None) for one in OTHERS]
    amounts = TokenPrices(rows).of(ENDPOINT)
    assert (amounts and int(amounts[0])) == found


def test_an_endpoint_without_a_model_is_priced_by_its_name() -> None:
    nameless = Priced(OURS, "acme/chat", HERE, None)
    assert TokenPrices([(*MODEL_ANYWHERE, Decimal(1), Decimal(1), None)]).of(nameless) is None
    assert TokenPrices([(*NAME, Decimal(2), Decimal(1), None)]).of(nameless) == (Decimal(2), Decimal(1), None)


@pytest.fixture
def endpoint(cast: Cast) -> Endpoint:
    return services.create(cast.actor("operator"), cast.alpha, name="chat", cluster=make_cluster(), profile=make_profile())


def known(loader: Loader, endpoint: Endpoint) -> Price | None:
    return loader.load().routes[endpoint.workspace_id][endpoint.public_name].ways[0].target.price


def priced(**values: Any) -> TokenPrice:
    return TokenPrice.objects.create(**{"prompt": Decimal("0.25"), "completion": Decimal(2), **values})


def test_the_gateway_learns_prices_when_they_come_into_force(cast: Cast, endpoint: Endpoint) -> None:
    model, loader = Profile.objects.get().model, Loader()
    assert known(loader, endpoint) is None
    priced(model=model)
    assert known(loader, endpoint) == Price(0.25, 2.0, 0.25)
    soon = priced(model=model, prompt=Decimal(7), valid_from=timezone.now() + timedelta(hours=1))
    assert known(loader, endpoint) == Price(0.25, 2.0, 0.25)
    TokenPrice.objects.filter(pk=soon.pk).update(valid_from=timezone.now())
    assert known(loader, endpoint) == Price(7.0, 2.0, 7.0)
    priced(workspace=cast.alpha, public_name=endpoint.public_name, cluster=Cluster.objects.get(), cached=Decimal("0.05"))
    assert known(loader, endpoint) == Price(0.25, 2.0, 0.05)
