"""A strict reader of kubeconfig files (threats T11-T16).

A kubeconfig can make the program that loads it run commands, read files and speak through a proxy. This
reader takes an address, a CA and one inline credential out of the current context, names everything else that
would change how the cluster is called, and keeps nothing of the file. It never loads it with a client library.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.tenancy.errors import Invalid, TooLarge
from portal.tenancy.strict_yaml import load

from .credential import Credential, checked

MOST_BYTES = 256 * 1024
FIELD = "kubeconfig"

PASTE = gettext_lazy("paste a token or a client certificate")
INLINE = gettext_lazy("only inline *-data is accepted")
DIRECT = gettext_lazy("the portal calls the API server directly and checks its certificate")
_REFUSED = {
    "cluster": {
        "certificate-authority": INLINE, "insecure-skip-tls-verify": DIRECT, "proxy-url": DIRECT, "tls-server-name": DIRECT,
    },
    "user": {
        "exec": PASTE, "auth-provider": PASTE, "username": PASTE, "password": PASTE,
        "tokenFile": INLINE, "client-certificate": INLINE, "client-key": INLINE,
        "as": PASTE, "as-uid": PASTE, "as-groups": PASTE, "as-user-extra": PASTE,
    },
}
# What is left out without a word: it changes nothing about the calls.
_IGNORED = {"cluster": {"extensions", "disable-compression"}, "user": {"extensions"}}
_READ = {
    "cluster": {"server": "server", "certificate-authority-data": "ca"},
    "user": {"token": "token", "client-certificate-data": "client_certificate", "client-key-data": "client_key"},
}


def read_kubeconfig(text: str | bytes) -> tuple[Credential, list[str]]:
    """The address and credential of the current (or only) context, and warnings in words.

    Raises TooLarge over 256 KB, and Invalid that names each key that is not allowed or wrong.
    """
    config = load(_decoded(text))
    if not isinstance(config, dict) or config.get("kind", "Config") != "Config":
        raise _wrong(_("This is no kubeconfig."))
    context = _named(config, "context", _current(config))[1]
    values: dict[str, str] = {}
    paths: dict[str, str] = {}
    for what in ("cluster", "user"):
        name = context.get(what)
        if not isinstance(name, str) or not name:
            raise _wrong(_("The context names no %(what)s.") % {"what": what})
        path, found = _named(config, what, name)
        _refuse_others(what, path, found)
        for key, attribute in _READ[what].items():
            values[attribute], paths[attribute] = _text(found, path, key), f"{path}.{key}"
    try:
        return checked(Credential(**values))
    except Invalid as error:
        raise _wrong(f"{paths.get(error.field, 'user')}: {error.message}") from error


def _wrong(sentence: str) -> Invalid:
    return Invalid(sentence, field=FIELD)


def _decoded(text: str | bytes) -> str:
    raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(raw) > MOST_BYTES:
        raise TooLarge(_("A kubeconfig has at most 256 KB. Keep one context: kubectl config view --minify --flatten --raw"),
                       field=FIELD)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _wrong(_("This is not UTF-8 text.")) from error


def _current(config: dict[str, Any]) -> str:
    current, contexts = config.get("current-context"), _entries(config, "context")
    if isinstance(current, str) and current:
        return current
    if len(contexts) != 1:
        raise _wrong(_("Which context? Set current-context: the file has %(n)d.") % {"n": len(contexts)})
    name = contexts[0].get("name")
    return name if isinstance(name, str) else ""


def _entries(config: dict[str, Any], what: str) -> list[dict[str, Any]]:
    entries = config.get(f"{what}s")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _wrong(_("This is no kubeconfig: %(key)s is not a list of entries.") % {"key": f"{what}s"})
    return entries


def _named(config: dict[str, Any], what: str, name: str) -> tuple[str, dict[str, Any]]:
    """The one entry of this name with its path, such as ``users[0].user``."""
    found = [(f"{what}s[{index}].{what}", entry.get(what)) for index, entry in enumerate(_entries(config, what))
             if entry.get("name") == name]
    if len(found) != 1 or not isinstance(found[0][1], dict):
        raise _wrong(_("There is not exactly one %(what)s “%(name)s” in the file.") % {"what": what, "name": name[:80]})
    return found[0][0], found[0][1]


def _refuse_others(what: str, path: str, entry: dict[str, Any]) -> None:
    """Name every key that is not allowed, all at once."""
    refused = []
    for key, value in entry.items():
        harmless = value is None or (key == "insecure-skip-tls-verify" and value is False)
        if key in _READ[what] or key in _IGNORED[what] or harmless:
            continue
        why = _REFUSED[what].get(key, _("the portal does not know it"))
        refused.append(_("%(path)s is not allowed; %(why)s.") % {"path": f"{path}.{key[:60]}", "why": why})
    if refused:
        raise _wrong(" ".join(refused[:10]))


def _text(entry: dict[str, Any], path: str, key: str) -> str:
    value = entry.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(_("%(path)s is not text.") % {"path": f"{path}.{key}"})
    if not key.endswith("-data"):
        return value
    try:
        return base64.b64decode("".join(value.split()), validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise _wrong(_("%(path)s is not a PEM text in base64.") % {"path": f"{path}.{key}"}) from error
