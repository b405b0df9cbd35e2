"""The loader as a pod runs it: its text handed to a Python of its own, against real servers."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from models_catalog.preheating.progress import Progress, progress_in
from models_catalog.preheating.render import LOADER
from tests.models_catalog.preheating.file_server import COMMIT, serving

WEIGHTS = os.urandom(300_000)
FILES = {"/small/config.json": b"{}", "/small/model.safetensors": WEIGHTS, "/small/tokens/vocab.json": b"[]"}
HUB = {"/config.json": b"{}", "/model.safetensors": WEIGHTS, "/pytorch_model.bin": b"x" * 5000, "/original/a.pth": b"y" * 5000}
ENGINES = sorted(Path(__file__).resolve().parents[3].glob(".engines/*/bin/python"))


def load(
    kind: str, location: str, folder: Path, revision: str = "", python: str = sys.executable, **env: str,
) -> tuple[int, str]:
    done = subprocess.run([python, "-I", "-c", LOADER, kind, location, revision, str(folder)], capture_output=True, text=True,
                          timeout=120, check=False, env={"HOME": str(folder.parent), "PATH": os.environ["PATH"], **env})
    return done.returncode, done.stdout + done.stderr


def loaded(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and ".cache" not in path.parts}


SMALL = {name.removeprefix("/small/"): body for name, body in FILES.items()}


def test_a_folder_is_loaded_file_by_file(tmp_path: Path) -> None:
    with serving(FILES) as shelf:
        code, said = load("http", f"{shelf.url}/small/", tmp_path / "model")
    assert code == 0, said
    assert loaded(tmp_path / "model") == SMALL
    total = sum(map(len, FILES.values()))
    assert progress_in(said) == Progress(total, total)


def test_a_second_run_fetches_only_what_is_missing(tmp_path: Path) -> None:
    with serving(FILES) as shelf:
        load("http", f"{shelf.url}/small/", tmp_path / "model")
        (tmp_path / "model/config.json").unlink()
        (tmp_path / "model/model.safetensors").rename(tmp_path / "model/model.safetensors.part")
        with (tmp_path / "model/model.safetensors.part").open("r+b") as part:
            part.truncate(100_000)
        shelf.asked.clear()
        code, said = load("http", f"{shelf.url}/small/", tmp_path / "model")
    assert code == 0, said
    fetched = [(path, part) for verb, path, part in shelf.asked if verb == "GET" and not path.endswith("/")]
    assert fetched == [("/small/config.json", ""), ("/small/model.safetensors", "bytes=100000-")]
    assert loaded(tmp_path / "model") == SMALL


def test_a_line_that_breaks_is_taken_up_where_it_broke(tmp_path: Path) -> None:
    with serving(FILES, cut=2) as shelf:
        code, said = load("http", f"{shelf.url}/small/", tmp_path / "model")
    assert code == 0, said
    assert loaded(tmp_path / "model") == SMALL
    assert [part for _verb, path, part in shelf.asked if part] == ["bytes=150000-", "bytes=225000-"]


def test_the_credential_is_sent(tmp_path: Path) -> None:
    with serving(FILES, user=base64.b64encode(b"me:word").decode()) as shelf:
        code, said = load("http", f"{shelf.url}/small/", tmp_path / "model")
        assert code == 1
        assert said.splitlines()[-1] == "failed: LoadError: 127.0.0.1 answers 401 for /small/"
        code, said = load("http", f"{shelf.url}/small/", tmp_path / "model", SOURCE_USER="me", SOURCE_PASSWORD="word")
    assert code == 0, said


def packed_tar(names: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, body in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


def packed_zip(names: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, body in names.items():
            archive.writestr(name, body)
    return out.getvalue()


@pytest.mark.parametrize(("name", "body"), [
    ("small.tar.gz", packed_tar({f"small/{name}": body for name, body in SMALL.items()})),
    ("small.tgz", packed_tar(SMALL)), ("small.zip", packed_zip(SMALL)),
])
def test_an_archive_is_unpacked_without_its_own_folder(tmp_path: Path, name: str, body: bytes) -> None:
    with serving({f"/{name}": body}) as shelf:
        code, said = load("http", f"{shelf.url}/{name}", tmp_path / "model")
    assert code == 0, said
    assert loaded(tmp_path / "model") == SMALL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_an_archive_can_not_write_beside_its_folder(tmp_path: Path) -> None:
    with serving({"/bad.tar": packed_tar({"../outside": b"x"})}) as shelf:
        code, said = load("http", f"{shelf.url}/bad.tar", tmp_path / "data" / "model")
    assert code == 1
    assert "outside" in said.splitlines()[-1]
    assert not list(tmp_path.rglob("outside"))


@pytest.mark.parametrize(("path", "word"), [
    ("/empty/", "answers 404"), ("/small/gone.tar", "answers 404"),
])
def test_what_is_not_there_is_said_in_the_last_line(tmp_path: Path, path: str, word: str) -> None:
    with serving(FILES) as shelf:
        code, said = load("http", f"{shelf.url}{path}", tmp_path / "model")
    assert code == 1
    assert word in said.splitlines()[-1]


@pytest.fixture
def hub_python() -> str:
    """The Python of an engine that is installed here: it has the hub's own client, as an image has."""
    if not ENGINES:
        pytest.skip("no engine is installed here")
    return str(ENGINES[0])


def test_a_hubs_model_is_loaded_by_the_hubs_own_client(tmp_path: Path, hub_python: str) -> None:
    with serving(HUB) as shelf:
        code, said = load("huggingface", "org/small", tmp_path / "model", COMMIT, hub_python, HF_ENDPOINT=shelf.url,
                          HF_HUB_DISABLE_XET="1")
    assert code == 0, said
    assert loaded(tmp_path / "model") == {"config.json": b"{}", "model.safetensors": WEIGHTS}
    figures = progress_in(said)
    assert figures is not None
    assert figures.total == len(WEIGHTS) + 2
    of_model = [path for _verb, path, _part in shelf.asked if "org/small" in path]
    assert all(COMMIT in path for path in of_model), "only the pinned revision"


def test_a_model_that_the_hub_does_not_have_fails_with_its_words(tmp_path: Path, hub_python: str) -> None:
    with serving(HUB) as shelf:
        code, said = load("huggingface", "org/other", tmp_path / "model", "", hub_python, HF_ENDPOINT=shelf.url)
    assert code == 1
    assert "RepositoryNotFoundError" in said.splitlines()[-1] or "404" in said.splitlines()[-1]
