"""Django's makemessages, which also knows the second name that modules with lazy words give to gettext."""

from __future__ import annotations

from django.core.management.commands import makemessages


class Command(makemessages.Command):
    # `_` is gettext_lazy in those modules, and `_now` is gettext: words that are needed as text at once.
    xgettext_options = [*makemessages.Command.xgettext_options, "--keyword=_now"]
