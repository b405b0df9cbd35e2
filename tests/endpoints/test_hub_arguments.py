"""What the hub's form can say is what our engines take: under their own names, in the releases that we ship."""

from __future__ import annotations

import pytest

from endpoints.hub.wish import ARGUMENTS, QUANTISATION, TENSOR
from models_catalog.choices import EngineKind
from models_catalog.engine_args.table import load_table
from models_catalog.seed.files import read_releases

OF_SAGEMAKER = [row for row in read_releases() if "-sagemaker" in row["image"] or row["kind"] == EngineKind.LMI]


@pytest.mark.parametrize("release", OF_SAGEMAKER, ids=lambda row: row["slug"])
def test_every_argument_of_the_form_is_one_of_the_release(release: dict[str, str]) -> None:
    table = load_table(release["kind"], release["version"])
    assert table is not None
    wanted = {*ARGUMENTS[EngineKind(release["kind"])].values(), QUANTISATION, TENSOR}
    assert wanted <= set(table.options)
