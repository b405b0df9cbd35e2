"""The words for input that a schema refuses: pydantic's types of error in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

WORDS = {
    "missing": gettext_lazy("This is required."),
    "extra_forbidden": gettext_lazy("There is no such field."),
    "string_type": gettext_lazy("This takes text."),
    "string_too_short": gettext_lazy("This is too short: at least %(min_length)s."),
    "string_too_long": gettext_lazy("This is too long: at most %(max_length)s."),
    "int_type": gettext_lazy("This takes a whole number."),
    "int_from_float": gettext_lazy("This takes a whole number."),
    "int_parsing": gettext_lazy("This takes a whole number."),
    "float_type": gettext_lazy("This takes a number."),
    "bool_type": gettext_lazy("This takes true or false."),
    "bool_parsing": gettext_lazy("This takes true or false."),
    "list_type": gettext_lazy("This takes a list."),
    "dict_type": gettext_lazy("This takes an object."),
    "too_long": gettext_lazy("This is too long: at most %(max_length)s."),
    "too_short": gettext_lazy("This is too short: at least %(min_length)s."),
    "greater_than": gettext_lazy("This must be more than %(gt)s."),
    "greater_than_equal": gettext_lazy("This must be at least %(ge)s."),
    "less_than": gettext_lazy("This must be less than %(lt)s."),
    "less_than_equal": gettext_lazy("This must be at most %(le)s."),
    "enum": gettext_lazy("This takes one of: %(expected)s."),
    "literal_error": gettext_lazy("This takes one of: %(expected)s."),
    "uuid_parsing": gettext_lazy("This takes an ID."),
    "timezone_aware": gettext_lazy("Give the time with its time zone."),
}


def sentence(complaint: Mapping[str, Any]) -> str:
    """What to tell the caller about one complaint of pydantic; our own validators have spoken already."""
    if complaint["type"] == "value_error":
        return str(complaint["msg"]).removeprefix("Value error, ")
    words = WORDS.get(complaint["type"])
    return str(words) % complaint.get("ctx", {}) if words else _("This has a wrong form.")
