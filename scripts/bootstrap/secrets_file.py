"""The secrets of this installation, made once."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

FILE = "secrets.env"


def make(data_dir: Path) -> bool:
    """Write secrets.env where there is none; True when it was made now. An existing file is never changed."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / FILE
    if path.exists() or os.environ.get("PORTAL_SECRET_KEY") or os.environ.get("PORTAL_SECRET_KEY_FILE"):
        return False
    text = f"PORTAL_SECRET_KEY={secrets.token_urlsafe(48)}\nPORTAL_FIELD_KEYS={field_key()}\n"
    # Whole or not at all: a half-written key file would lock this installation out of its own data.
    draft = data_dir / f".{FILE}.{os.getpid()}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    return True


def field_key() -> str:
    """A Fernet key: 32 random bytes."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()
