"""Where weights may lie: one strict form for each kind of artifact. Nothing here opens a connection or a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from django.utils.translation import gettext as _

from portal.tenancy.errors import Invalid

from .choices import ArtifactKind

MAX_LOCATION, MAX_REVISION = 500, 80
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
HUB_ID = re.compile(rf"{_PART}/{_PART}")
PATH_CHARS = re.compile(r"[A-Za-z0-9._/@+=,-]+")
HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")
BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
FILE_SYSTEM = re.compile(r"fs-[0-9a-f]{8,40}")
JUMPSTART_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
REVISION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,78}[A-Za-z0-9])?")
COMMIT = re.compile(r"[0-9a-f]{40}")
# Folders of the system: a model is never there, but secrets are.
SYSTEM_FOLDERS = frozenset({"etc", "proc", "sys", "dev", "run", "root", "boot"})
HTTPS_PORTS = frozenset({None, 443, 8443})


def check_location(kind: str, location: str) -> str:
    """The location if it has the form of its kind. Raises Invalid with field ``location``."""
    if not isinstance(location, str) or not 0 < len(location) <= MAX_LOCATION or not location.isascii():
        _refuse(_("A location has 1 to %(most)d plain characters.") % {"most": MAX_LOCATION})
    if not location.isprintable() or any(c.isspace() for c in location):
        _refuse(_("A location has no spaces or control characters."))
    CHECKS[ArtifactKind(kind)](location)
    return location


def check_revision(kind: str, revision: str) -> str:
    """The revision if the kind has one: a commit, branch or version. Raises Invalid with field ``revision``."""
    if not revision:
        return ""
    if kind not in {ArtifactKind.HUGGING_FACE, ArtifactKind.JUMPSTART}:
        raise Invalid(_("Only models of a hub have a revision."), field="revision")
    if len(revision) > MAX_REVISION or not REVISION.fullmatch(revision) or ".." in revision or "//" in revision:
        raise Invalid(_("A revision is a commit, a branch or a version, without spaces and “..”."), field="revision")
    return revision


def is_pinned(kind: str, revision: str) -> bool:
    """Whether the weights can't change under this name."""
    return kind != ArtifactKind.HUGGING_FACE or COMMIT.fullmatch(revision) is not None


def _refuse(message: str) -> None:
    raise Invalid(message, field="location")


def _hub(text: str) -> None:
    if not HUB_ID.fullmatch(text) or ".." in text or "--" in text or text.endswith(".git"):
        _refuse(_("Write the hub ID as organisation/name, such as Qwen/Qwen3-0.6B."))


def _folders(path: str) -> None:
    """A path of plain folder names, without a step up, an empty step or a hidden first character."""
    parts = path.removesuffix("/").split("/")
    if path and (not PATH_CHARS.fullmatch(path) or any(part in {"", ".", ".."} for part in parts)):
        _refuse(_("A path has plain folder names, and no “.”, “..” or empty steps."))


def _path(text: str) -> None:
    if not text.startswith("/") or len(text) < 2:
        _refuse(_("Write the whole path of the folder, such as /models/qwen3."))
    _folders(text[1:])
    if text.split("/")[1] in SYSTEM_FOLDERS:
        _refuse(_("This folder belongs to the system; weights can't be read from there."))


def _split(text: str, scheme: str) -> SplitResult:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        url, port = urlsplit(""), None
    bare = not (url.username or url.password or url.query or url.fragment or "@" in url.netloc)
    if url.scheme != scheme or not text.startswith(f"{scheme}://") or not bare or (port and scheme != "https"):
        _refuse(_("Write an address that starts with %(scheme)s:// and has no user, query or fragment.") % {"scheme": scheme})
    return url


def _https(text: str) -> None:
    url = _split(text, "https")
    if not HOST.fullmatch(url.hostname or "") or "." not in (url.hostname or "") or (url.hostname or "")[-1].isdigit():
        _refuse(_("The address needs the full name of a host, not a number or a short name."))
    if url.port not in HTTPS_PORTS:
        _refuse(_("Weights are fetched from the ports 443 and 8443 only."))
    if url.path in {"", "/"}:
        _refuse(_("The address needs the path of an archive or a folder."))
    _folders(url.path[1:])


def _s3(text: str) -> None:
    url = _split(text, "s3")
    if not BUCKET.fullmatch(url.netloc) or url.path in {"", "/"}:
        _refuse(_("Write the bucket and the key, such as s3://models/qwen3/."))
    _folders(url.path[1:])


def _volume(text: str) -> None:
    url = _split(text, "nfs" if text.startswith("nfs:") else "pvc")
    if not HOST.fullmatch(url.netloc):
        _refuse(_("Write the volume as pvc://claim/folder or nfs://server/folder."))
    _folders(url.path[1:])


def _fsx(text: str) -> None:
    url = _split(text, "fsx")
    if not FILE_SYSTEM.fullmatch(url.netloc):
        _refuse(_("Write the file system and a folder, such as fsx://fs-0123456789abcdef0/qwen3."))
    _folders(url.path[1:])


def _jumpstart(text: str) -> None:
    if not JUMPSTART_ID.fullmatch(text):
        _refuse(_("Write the JumpStart model ID, in lower case with hyphens."))


CHECKS: dict[ArtifactKind, Callable[[str], None]] = {
    ArtifactKind.HUGGING_FACE: _hub, ArtifactKind.LOCAL_PATH: _path, ArtifactKind.HTTP: _https, ArtifactKind.S3: _s3,
    ArtifactKind.VOLUME: _volume, ArtifactKind.FSX: _fsx, ArtifactKind.JUMPSTART: _jumpstart,
}
