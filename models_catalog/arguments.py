"""Engine arguments and environment: checked against allow-lists, then written as an argument vector, never as a line.

Reliability rows T21 to T23. A name is compared whole: no abbreviations, no look-alike characters.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from django.utils.translation import gettext as _

from portal.tenancy.errors import Invalid

from .engine_args.table import Option, Table, load_table
from .models import EngineRelease
from .option_words import NOT_SET_HERE, gone
from .permitted import ENVIRONMENT

NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
# Text values are names of formats, parsers and kernels: nothing that a shell or a path resolver would obey.
TEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
SHORT_NUMBER = re.compile(r"([0-9]{1,12})([kKmMgG]?)")
SUFFIXES = {"": 1, "k": 10**3, "K": 2**10, "m": 10**6, "M": 2**20, "g": 10**9, "G": 2**30}
MAX_ARGUMENTS, MAX_LIST = 64, 256


def _refuse(message: str, field: str = "arguments") -> NoReturn:
    raise Invalid(message, field=field)


def check_arguments(release: EngineRelease, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments under the engine's own names, sorted, each of the right type and within its range.

    Raises Invalid (field ``arguments``) for what is unknown, not permitted, given twice or of the wrong type.
    """
    if not isinstance(arguments, Mapping):
        _refuse(_("Engine arguments are an object of names and values."))
    if len(arguments) > MAX_ARGUMENTS:
        _refuse(_("Give at most %(most)d engine arguments.") % {"most": MAX_ARGUMENTS})
    table = load_table(release.kind, release.version)
    if table is None:
        if arguments:
            _refuse(_("The portal has no list of arguments for %(release)s; none can be set.") % {"release": release})
        return {}
    checked: dict[str, Any] = {}
    for given, value in arguments.items():
        option = _option(table, given)
        if option.name in checked:
            _refuse(_("“%(name)s” is given twice.") % {"name": option.name})
        checked[option.name] = _value(option, value)
    return {name: checked[name] for name in sorted(checked) if not _is_default(table.options[name], checked[name])}


def _is_default(option: Option, value: Any) -> bool:
    return option.type == "switch" and value is False


def _option(table: Table, given: Any) -> Option:
    """The permitted option with exactly this name; underscores and two leading hyphens are forgiven."""
    shown = str(given)[:100]
    name = shown.removeprefix("--").replace("_", "-") if isinstance(given, str) and len(given) <= 100 else ""
    if name not in table.options:
        _refuse(_why_not(table, name, shown))
    return table.options[name]


def _why_not(table: Table, name: str, shown: str) -> str:
    """A sentence for a name that is no permitted option."""
    words = {"engine": table.engine, "version": table.version, "name": shown}
    if why := gone(table.engine, table.refused).get(name.partition("=")[0]):
        return f"{_('%(engine)s %(version)s has no argument “%(name)s” any more.') % words} {why}"
    if not name.isascii():
        return _("“%(name)s” has characters that no engine argument has.") % {"name": shown}
    if "=" in name or any(c.isspace() for c in name):
        return _("“%(name)s” mixes a name with a value; give the value on its own.") % {"name": shown}
    if (plain := name.removeprefix("no-")) in table.options:
        return _("Write “%(name)s” with the value false instead of “%(given)s”.") % {"name": plain, "given": shown}
    if (alias := name.removeprefix("-")) in table.aliases:
        return _("Write “%(name)s” instead of “%(given)s”.") % {"name": table.aliases[alias], "given": shown}
    if plain in table.refused:
        why = NOT_SET_HERE.get(plain, "")
        return f"{_('“--%(name)s” is not permitted.') % {'name': name}} {why}".rstrip()
    near = difflib.get_close_matches(name, table.options, n=1, cutoff=0.6) if NAME.fullmatch(name) else []
    if near:
        words["near"] = near[0]
        return _("%(engine)s %(version)s has no argument “%(name)s”. Did you mean “%(near)s”?") % words
    return _("%(engine)s %(version)s has no argument “%(name)s” that is permitted.") % words


def _value(option: Option, value: Any) -> Any:
    if not option.many:
        return READERS[option.type](option, value)
    if not isinstance(value, list | tuple) or not value or len(value) > MAX_LIST:
        _refuse(_("“%(name)s” takes a list of 1 to %(most)d values.") % {"name": option.name, "most": MAX_LIST})
    return [READERS[option.type](option, item) for item in value]


def _flag(option: Option, value: Any) -> bool:
    if not isinstance(value, bool):
        _refuse(_("“%(name)s” takes true or false.") % {"name": option.name})
    return value


def _integer(option: Option, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        _refuse(_("“%(name)s” takes a whole number.") % {"name": option.name})
    if option.choices and str(value) not in option.choices:
        _refuse(_one_of(option))
    _bound(option, value)
    return value


def _tokens(option: Option, value: Any) -> int:
    """A whole number, or one with a suffix: 8k is 8,000 and 8K is 8,192, as the engine reads it."""
    match = SHORT_NUMBER.fullmatch(value) if isinstance(value, str) and value.isascii() else None
    return _integer(option, int(match[1]) * SUFFIXES[match[2]] if match else value)


def _number(option: Option, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        _refuse(_("“%(name)s” takes a number.") % {"name": option.name})
    _bound(option, value)
    return value


def _bound(option: Option, value: float) -> None:
    low, high = option.range
    if (low is not None and value < low) or (high is not None and value > high):
        _refuse(_("“%(name)s” must lie between %(low)s and %(high)s.")
                % {"name": option.name, "low": low, "high": high})


def _one_of(option: Option) -> str:
    return _("“%(name)s” must be one of: %(choices)s.") % {"name": option.name, "choices": ", ".join(option.choices)}


def _string(option: Option, value: Any) -> str:
    if not isinstance(value, str):
        _refuse(_("“%(name)s” takes a word.") % {"name": option.name})
    if option.choices and value not in option.choices:
        _refuse(_one_of(option))
    if not TEXT.fullmatch(value):
        _refuse(_("“%(name)s” has a value with characters that are not permitted.") % {"name": option.name})
    return value


def _object(option: Option, value: Any) -> dict[str, Any]:
    """An object with listed members only, each of its own type or one of its words."""
    if not isinstance(value, Mapping) or not value:
        _refuse(_("“%(name)s” takes an object with some of: %(keys)s.")
                % {"name": option.name, "keys": ", ".join(option.keys)})
    for key, member in value.items():
        kind = option.keys.get(key) if isinstance(key, str) else None
        if kind is None:
            _refuse(_("“%(name)s” has no member “%(key)s” that is permitted.")
                    % {"name": option.name, "key": str(key)[:100]})
        whole = f"{option.name}.{key}"
        if isinstance(kind, str):
            READERS[kind](Option(whole, kind, range=option.range), member)
        else:
            _string(Option(whole, "string", choices=tuple(kind)), member)
    return dict(value)


READERS: dict[str, Callable[[Option, Any], Any]] = {
    "flag": _flag, "switch": _flag, "integer": _integer, "tokens": _tokens, "number": _number, "string": _string,
    "object": _object,
}


def check_environment(environment: Mapping[str, Any]) -> dict[str, str]:
    """The variables, sorted, as text. Raises Invalid (field ``environment``) for any other name or shape."""
    if not isinstance(environment, Mapping):
        _refuse(_("The environment is an object of names and values."), "environment")
    return {name: _variable(name, environment[name]) for name in sorted(environment, key=str)}


def _variable(name: Any, value: Any) -> str:
    known = ENVIRONMENT.get(name) if isinstance(name, str) else None
    if known is None:
        _refuse(_("The environment variable “%(name)s” is not permitted.") % {"name": str(name)[:100]}, "environment")
    text = str(value)
    if isinstance(value, bool) or not isinstance(value, str | int) or not re.fullmatch(known.pattern, text, re.A):
        words = {"name": name, "help": known.help}
        _refuse(_("%(name)s has a value that does not fit. %(help)s") % words, "environment")
    return text


def to_argv(arguments: Mapping[str, Any]) -> list[str]:
    """Checked arguments as an argument vector: ``--flag``, ``--no-flag``, or ``--name`` and its values as own items."""
    argv: list[str] = []
    for name, value in sorted(arguments.items()):
        if isinstance(value, bool):
            argv.append(f"--{name}" if value else f"--no-{name}")
        elif isinstance(value, dict):
            argv += [f"--{name}", json.dumps(value, sort_keys=True, separators=(",", ":"))]
        else:
            argv += [f"--{name}", *map(str, value if isinstance(value, list | tuple) else [value])]
    return argv
