"""The house rules that a machine can hold: sizes, narrow handlers, no paths of this machine, no raw doors."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("portal", "clusters", "models_catalog", "endpoints")


@cache
def sources() -> dict[str, str]:
    """Our own Python files, without migrations and tests."""
    paths = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "migrations" not in path.parts]
    return {str(path.relative_to(ROOT)): path.read_text() for path in [*paths, ROOT / "manage.py"]}


@cache
def functions() -> dict[str, int]:
    """Every function with its length in lines."""
    found = {}
    for name, text in sources().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[f"{name}:{node.lineno} {node.name}"] = (node.end_lineno or node.lineno) - node.lineno + 1
    return found


def test_no_function_is_longer_than_60_lines_and_the_median_is_at_most_9() -> None:
    assert {name: lines for name, lines in functions().items() if lines > 60} == {}
    assert statistics.median(functions().values()) <= 9


def test_no_file_is_longer_than_350_lines() -> None:
    lengths = {name: text.count("\n") for name, text in sources().items()}
    assert {name: lines for name, lines in lengths.items() if lines > 350} == {}


def test_every_broad_handler_says_why() -> None:
    silent = []
    for name, text in sources().items():
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            broad = isinstance(node, ast.ExceptHandler) and (
                node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException"))
            if broad and "#" not in lines[node.lineno - 1]:
                silent.append(f"{name}:{node.lineno}")
    assert silent == []


@pytest.mark.parametrize(("pattern", "allowed"), [
    (r"\bmark_safe\b", ()),
    (r"load_kube_config", ()),
    (r"\bpickle\b", ()),
    (r"shell=True", ()),
    (r"\b(requests|httpx2?|aiohttp)\.(get|post|put|Session|Client)", ()),
    (r"\.select_for_update\(", ()),
])
def test_raw_forms_stay_behind_their_one_door(pattern: str, allowed: tuple[str, ...]) -> None:
    used = [name for name, text in sources().items() if re.search(pattern, text) and name not in allowed]
    assert used == []


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_nothing_names_a_path_of_a_machine_or_the_host_of_a_package_registry() -> None:
    hosts = (("pypi", "org"), ("files", "pythonhosted", "org"), ("registry", "npmjs", "org"), ("deb", "debian", "org"))
    words = [".".join(host) for host in hosts] + [f"{Path.home()}/.", f"{ROOT}/"]
    forbidden = re.compile("|".join(map(re.escape, words)).encode())
    named = [str(path.relative_to(ROOT)) for path in tracked_files()
             if path.suffix not in (".png", ".mo") and forbidden.search(path.read_bytes())]
    assert named == []


def test_the_locks_have_a_hash_for_every_requirement() -> None:
    locks = [ROOT / "requirements.txt", *(ROOT / "requirements").glob("*.txt")]
    for lock in locks:
        if lock.name == "engine-overrides.txt":
            continue
        blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", lock.read_text())
        bare = [block.split()[0] for block in blocks if "==" in block and "--hash=sha256:" not in block]
        assert bare == [], lock.name
