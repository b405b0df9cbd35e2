from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from ..lists.address import asked
from ..visit import Visit, page
from .kinds import Group, groups_of
from .question import Question


@require_safe
@page
def find(visit: Visit) -> HttpResponse:
    """What answers the question `q`: a page, or, for the window that every page can open, its list of choices."""
    question = Question.of(asked(visit.request, "q"))
    groups = [] if question.is_too_short else groups_of(visit, question)
    template = "web/find/choices.html" if visit.is_partial else "web/find/find.html"
    return visit.render(template, area="find", question=question, groups=groups, title=title_of(question, groups))


def title_of(question: Question, groups: Sequence[Group]) -> str:
    """The answer as a sentence."""
    if not question.text:
        return _("Find anything")
    if question.is_too_short:
        return _("Type two letters or more")
    number = sum(len(group.items) for group in groups)
    said = {"n": number, "text": question.text}
    if not number:
        return _("Nothing matches “%(text)s”") % said
    if any(group.is_cut for group in groups):
        return _("The %(n)d best matches for “%(text)s”") % said
    return ngettext("One thing matches “%(text)s”", "%(n)d things match “%(text)s”", number) % said
