"""Fills a folder with a model's files, in a pod: this text is handed to the image's Python, so it imports nothing of ours.

Arguments: kind, location, revision, folder. Prints "progress DONE TOTAL" in bytes; what is there already is not loaded
again. Credentials come by the environment: HF_TOKEN, or SOURCE_USER and SOURCE_PASSWORD.
"""

from __future__ import annotations

import base64
import http.client
import os
import shutil
import sys
import tarfile
import threading
import urllib.error
import urllib.request
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

SECONDS = 5.0
CHUNK = 8 * 1024**2
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
MOST_FILES, MOST_DEPTH, MOST_PAGE = 10_000, 6, 16 * 1024**2
TIMEOUT = 60.0
TRIES = 5
# Other forms of the same weights, which no engine of ours reads where there are safetensors.
OTHER_FORMS = ("original/*", "*.bin", "*.pth", "*.pt", "*.h5", "*.msgpack", "*.onnx", "onnx/*", "*.ot")


class LoadError(Exception):
    """What went wrong, in one line for people."""


class Progress(threading.Thread):
    """Says again and again how many bytes lie in the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.total, self._over = folder, 0, threading.Event()

    def run(self) -> None:
        while not self._over.wait(SECONDS):
            self.say()

    def say(self) -> None:
        print(f"progress {size_of(self.folder)} {self.total}", flush=True)

    def end(self) -> None:
        self._over.set()
        self.say()


def size_of(folder: Path) -> int:
    found = 0
    for path in folder.rglob("*"):
        try:
            found += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue  # a part that has just got its name
    return found


def load_hub(location: str, revision: str, folder: Path, progress: Progress) -> None:
    from fnmatch import fnmatch

    from huggingface_hub import HfApi, snapshot_download  # type: ignore[import-not-found]  # of the image

    files = HfApi().model_info(location, revision=revision or None, files_metadata=True).siblings or []
    safe = any(each.rfilename.endswith(".safetensors") and "/" not in each.rfilename for each in files)
    ignored = list(OTHER_FORMS) if safe else []
    progress.total = sum(each.size or 0 for each in files if not any(fnmatch(each.rfilename, form) for form in ignored))
    snapshot_download(location, revision=revision or None, local_dir=folder, ignore_patterns=ignored or None)


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


class NoDowngrade(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: urllib.request.Request, *rest: Any) -> urllib.request.Request | None:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(rest[-1]).scheme != "https":
            raise LoadError(f"{req.host} leads away from https")
        return super().redirect_request(req, *rest)


OPENER = urllib.request.build_opener(NoDowngrade)


def ask(url: str, method: str = "GET", start: int = 0) -> Any:
    """The open answer. The credential goes to the first host only, never along with a redirect."""
    request = urllib.request.Request(url, method=method)  # noqa: S310  The catalogue keeps https addresses only.
    if start:
        request.add_header("Range", f"bytes={start}-")
    user, password = os.environ.get("SOURCE_USER", ""), os.environ.get("SOURCE_PASSWORD", "")
    if user:
        word = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {word}")
    try:
        return OPENER.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        raise LoadError(f"{urlsplit(url).hostname} answers {error.code} for {urlsplit(url).path}") from error


def listed(url: str, depth: int = 0) -> dict[str, str]:
    """Every file below a folder's page: relative path to address."""
    if depth > MOST_DEPTH:
        raise LoadError("the folders are nested too deeply")
    links = Links()
    with ask(url) as answer:
        links.feed(answer.read(MOST_PAGE).decode(errors="replace"))
    found: dict[str, str] = {}
    for link in dict.fromkeys(links.found):
        address = urljoin(url, link.partition("?")[0].partition("#")[0])
        name = unquote(address[len(url):])
        if not address.startswith(url) or not name or name.startswith("/") or ".." in name.split("/"):
            continue
        below = listed(address, depth + 1) if name.endswith("/") else None
        found |= {name: address} if below is None else {name + path: where for path, where in below.items()}
    if len(found) > MOST_FILES:
        raise LoadError(f"more than {MOST_FILES} files")
    return found


def length_of(url: str) -> int:
    with ask(url, "HEAD") as answer:
        return int(answer.headers.get("Content-Length") or -1)


def fetch(url: str, target: Path, length: int) -> None:
    """Load one file; what an earlier run left of it is kept."""
    if target.is_file() and target.stat().st_size == length:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    trouble = ""
    for _attempt in range(TRIES):
        try:
            fetch_rest(url, part, length)
        except (OSError, http.client.HTTPException) as error:
            trouble = str(error)
            continue
        if length < 0 or part.stat().st_size == length:
            part.replace(target)
            return
        trouble = f"{target.name} has {part.stat().st_size} bytes, {length} were announced"
    raise LoadError(f"{urlsplit(url).hostname}: {trouble}")


def fetch_rest(url: str, part: Path, length: int) -> None:
    start = part.stat().st_size if part.is_file() else 0
    if start == length:
        return
    with ask(url, start=start) as answer, part.open("ab" if start and answer.status == 206 else "wb") as out:
        shutil.copyfileobj(answer, out, CHUNK)


def load_http(location: str, folder: Path, progress: Progress) -> None:
    if urlsplit(location).path.endswith(ARCHIVES):
        load_archive(location, folder, progress)
        return
    base = location if location.endswith("/") else f"{location}/"
    files = listed(base)
    if not files:
        raise LoadError(f"{base} lists no files: the server must show the folder as an HTML page")
    lengths = {name: length_of(url) for name, url in files.items()}
    progress.total = sum(max(0, length) for length in lengths.values())
    for name, url in files.items():
        fetch(url, folder / name, lengths[name])


def load_archive(location: str, folder: Path, progress: Progress) -> None:
    """Fetch, unpack beside it, and put the model's own folder in place."""
    unpacked = folder.with_name(f"{folder.name}.unpacked")
    archive = folder.with_name(Path(urlsplit(location).path).name)
    length = length_of(location)
    progress.folder, progress.total = folder.parent, max(0, length)
    fetch(location, archive, length)
    shutil.rmtree(unpacked, ignore_errors=True)
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(unpacked)  # noqa: S202  It drops “..” and makes no links.
    else:
        with tarfile.open(archive) as packed_tar:
            packed_tar.extractall(unpacked, filter="data")
    inner = list(unpacked.iterdir())
    source = inner[0] if len(inner) == 1 and inner[0].is_dir() else unpacked
    shutil.rmtree(folder, ignore_errors=True)
    source.rename(folder)
    shutil.rmtree(unpacked, ignore_errors=True)
    archive.unlink()
    progress.total = 0


def main(kind: str, location: str, revision: str, folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    progress = Progress(folder)
    progress.start()
    try:
        if kind == "huggingface":
            load_hub(location, revision, folder, progress)
        else:
            load_http(location, folder, progress)
    except Exception as error:  # noqa: BLE001  The last line of the log is all that people see of it.
        print(f"failed: {type(error).__name__}: {' '.join(str(error).split())[:800]}", flush=True)
        return 1
    progress.end()
    print("done", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])))
