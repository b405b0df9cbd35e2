"""Reading one value of a trigger's metadata: KEDA takes text only, so everything becomes text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from portal.tenancy.errors import Invalid

from .signals import SIGNALS
from .triggers import Key

MAX_TEXT, MAX_QUERY = 500, 2000
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
INTEGER = re.compile(r"[0-9]{1,12}")
QUANTITY = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?(?:m|k|M|G|T|Ki|Mi|Gi|Ti)?")
DURATION = re.compile(r"[1-9][0-9]{0,5}(?:ms|s|m|h)")
NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
HOST = re.compile(_HOST)
ADDRESS = re.compile(rf"{_HOST}:[1-9][0-9]{{0,4}}")
VERSION = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){1,3}")
NUMBERS = re.compile(r"[0-9]{1,6}(?:-[0-9]{1,6})?(?:,[0-9]{1,6}(?:-[0-9]{1,6})?)*")
PARAMETERS = re.compile(r"[A-Za-z0-9_.-]+=[^,=]*(?:,[A-Za-z0-9_.-]+=[^,=]*)*")
SECRET_WORDS = re.compile(r"pass|secret|token|key|auth|credential", re.IGNORECASE)


def refuse(message: str) -> NoReturn:
    raise Invalid(message, field="autoscale")


def text_of(name: str, value: Any) -> str:
    """The value as KEDA's text. Raises Invalid for what has no plain text form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        refuse(_("“%(name)s” takes text or a number.") % {"name": name})
    text = " ".join(str(value).split())
    if len(text) > MAX_QUERY or not text.isprintable():
        refuse(_("“%(name)s” takes plain text of at most %(most)d characters.") % {"name": name, "most": MAX_QUERY})
    return text


def read(name: str, key: Key, value: Any) -> str:
    """The checked text of one key. Raises Invalid with what it takes."""
    text = text_of(name, value)
    if key.choices:
        _check_choices(name, key, text)
    else:
        READERS[key.kind](name, text)
    return text


def _check_choices(name: str, key: Key, text: str) -> None:
    given = text.split(",") if key.many else [text]
    if not set(given) <= set(key.choices):
        refuse(_("“%(name)s” must be one of: %(choices)s.") % {"name": name, "choices": ", ".join(key.choices)})


def _pattern(pattern: re.Pattern[str], words: Callable[[], str]) -> Callable[[str, str], None]:
    def check(name: str, text: str) -> None:
        if not pattern.fullmatch(text):
            refuse(_("“%(name)s” takes %(what)s.") % {"name": name, "what": words()})
    return check


def _text(name: str, text: str) -> None:
    if not 0 < len(text) <= MAX_TEXT:
        refuse(_("“%(name)s” takes 1 to %(most)d characters.") % {"name": name, "most": MAX_TEXT})


def _query(name: str, text: str) -> None:
    if not text:
        refuse(_("“%(name)s” is empty.") % {"name": name})


def _signal(name: str, text: str) -> None:
    if text not in SIGNALS:
        refuse(_("“%(name)s” must be one of: %(choices)s.") % {"name": name, "choices": ", ".join(SIGNALS)})


def _switch(name: str, text: str) -> None:
    if text not in ("true", "false"):
        refuse(_("“%(name)s” takes true or false.") % {"name": name})


def _address_of(name: str, text: str, schemes: tuple[str, ...]) -> None:
    """A URL of these schemes without user, password, query or fragment."""
    try:
        url = urlsplit(text)
        good = url.scheme in schemes and HOST.fullmatch(url.hostname or "") and (url.port is None or url.port > 0)
    except ValueError:
        good = None
    if not good:
        refuse(_("“%(name)s” takes an address that starts with %(schemes)s.")
               % {"name": name, "schemes": ", ".join(f"{scheme}://" for scheme in schemes)})
    if "@" in url.netloc:
        refuse(_("“%(name)s” must not hold a user or a password: put them into a Secret, make a TriggerAuthentication "
                 "from it in the endpoint's namespace, and name that as the authentication.") % {"name": name})
    if url.query or url.fragment:
        refuse(_("“%(name)s” takes an address without a query.") % {"name": name})


def _url(name: str, text: str) -> None:
    _address_of(name, text, ("http", "https"))


def _broker(name: str, text: str) -> None:
    _address_of(name, text, ("amqp", "amqps", "http", "https"))


def _addresses(name: str, text: str) -> None:
    if not all(ADDRESS.fullmatch(part.strip()) for part in text.split(",")):
        refuse(_("“%(name)s” takes host:port, several with commas.") % {"name": name})


def _parameters(name: str, text: str) -> None:
    if not PARAMETERS.fullmatch(text):
        refuse(_("“%(name)s” takes name=value, several with commas.") % {"name": name})
    for pair in text.split(","):
        if SECRET_WORDS.search(pair.partition("=")[0]):
            refuse(_("“%(name)s” must not hold a secret; use an authentication.") % {"name": name})


READERS: dict[str, Callable[[str, str], None]] = {
    "text": _text, "query": _query, "signal": _signal, "switch": _switch, "url": _url, "broker": _broker,
    "addresses": _addresses, "parameters": _parameters,
    "number": _pattern(NUMBER, lambda: _("a number from 0")),
    "integer": _pattern(INTEGER, lambda: _("a whole number from 0")),
    "seconds": _pattern(INTEGER, lambda: _("whole seconds")),
    "quantity": _pattern(QUANTITY, lambda: _("a number or an amount such as 500m or 4Gi")),
    "duration": _pattern(DURATION, lambda: _("a time such as 30s or 1m")),
    "name": _pattern(NAME, lambda: _("a name in lower case, with digits, dots and hyphens")),
    "host": _pattern(HOST, lambda: _("the name of a host")),
    "address": _pattern(ADDRESS, lambda: _("host:port")),
    "version": _pattern(VERSION, lambda: _("a version such as 2.5.0")),
    "numbers": _pattern(NUMBERS, lambda: _("numbers and ranges such as 1,4-6")),
}
