from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.tenancy import services
from portal.tenancy.answers import find
from portal.tenancy.errors import PortalError
from portal.tenancy.invitations import invite, revoke_invitation
from portal.tenancy.models import Invitation, Membership
from portal.tenancy.pagination import page_of
from portal.tenancy.roles import Verb

from ..lists.address import asked, page_asked, query_with
from ..lists.forms import is_first, refuse
from ..visit import Visit, page
from .forms import InviteForm
from .rows import grantable, line_of, members_of, owners_of, roles_in_words

MOST_INVITATIONS = 100


@require_safe
@page
def members(visit: Visit) -> HttpResponse:
    return _list_page(visit, InviteForm(roles=grantable(visit)))


def _list_page(visit: Visit, form: InviteForm, status: int = 200, refused: PortalError | None = None,
               member: Membership | None = None) -> HttpResponse:
    """The members; with a refusal at the member whom it is about."""
    workspace, request = visit.one, visit.request
    roles, owners = grantable(visit), owners_of(workspace)
    text = asked(request, "q")
    found = page_of(members_of(workspace, text), page_asked(request))
    invitations = Invitation.objects.open().filter(workspace=workspace).select_related("invited_by", "workspace")
    return visit.render(
        "web/members/members.html", area="members", status=status, form=form, roles=roles, refused=refused, refused_at=member,
        lines=[line_of(visit, row, roles, owners) for row in found.items], words=roles_in_words(), text=text,
        title=_title(visit, owners),
        invitations=list(invitations[:MOST_INVITATIONS]) if visit.may(Verb.MANAGE) else [],
        older=query_with(request, cursor=found.next) if found.next else "",
        newest=query_with(request) if "cursor" in request.GET else "")


def _title(visit: Visit, owners: int) -> str:
    number = Membership.objects.filter(workspace=visit.one).count()
    if owners == 1 and number > 1:
        return ngettext("%(n)d person works in %(workspace)s, one of them is its owner",
                        "%(n)d people work in %(workspace)s, one of them is its owner", number) % {
            "n": number, "workspace": visit.one.name}
    return ngettext("%(n)d person works in %(workspace)s", "%(n)d people work in %(workspace)s", number) % {
        "n": number, "workspace": visit.one.name}


@require_POST
@page
def role(visit: Visit, uid: UUID) -> HttpResponse:
    """Give a member another role."""
    member = find(members_of(visit.one), uid=uid)
    wanted = visit.request.POST.get("role", "")
    try:
        changed = services.set_member(visit.actor, visit.one, member.user, wanted)
    except PortalError as error:
        return _list_page(visit, InviteForm(roles=grantable(visit)), error.status, error, member)
    messages.success(visit.request, _("%(name)s is now %(role)s of %(workspace)s.") % {
        "name": member.user, "role": changed.get_role_display(), "workspace": visit.one.name})
    return redirect(visit.url("members"))


@require_http_methods(["GET", "POST"])
@page
def remove(visit: Visit, uid: UUID) -> HttpResponse:
    """Say what ends with a membership, then end it: somebody else's, or one's own."""
    member = find(members_of(visit.one), uid=uid)
    is_me, name = member.user_id == visit.user.pk, str(member.user)
    error: PortalError | None = None
    if visit.request.method == "POST":
        try:
            services.remove_member(visit.actor, member)
        except PortalError as refused:
            error = refused
        else:
            said = _("You have left %(workspace)s.") if is_me else _("%(name)s is no longer in %(workspace)s.")
            messages.success(visit.request, said % {"name": name, "workspace": visit.one.name})
            return redirect("web:start") if is_me and not visit.actor.operates else redirect(visit.url("members"))
    line = line_of(visit, member, grantable(visit), owners_of(visit.one))
    return visit.render("web/members/remove.html", area="members", line=line, error=error, is_me=is_me,
                        status=error.status if error else 200)


@require_POST
@page
def send_invitation(visit: Visit) -> HttpResponse:
    """Invite by mail. Where no mail server is set, the link is in this answer and nowhere else."""
    form = InviteForm(visit.request.POST, roles=grantable(visit))
    if not form.is_valid():
        return _list_page(visit, form, 422)
    mail = form.cleaned_data["mail"]
    try:
        invited = invite(visit.actor, visit.one, mail, form.cleaned_data["role"]) if is_first(visit, form) else None
    except PortalError as error:
        return _list_page(visit, form, refuse(form, error))
    if invited and invited.link:
        return visit.render("web/members/link.html", area="members", invited=invited)
    messages.success(visit.request, _("An invitation is on its way to %(mail)s.") % {"mail": mail})
    return redirect(visit.url("members"))


@require_POST
@page
def revoke(visit: Visit, uid: UUID) -> HttpResponse:
    """Take an invitation back."""
    row = find(Invitation.objects.filter(workspace=visit.one).select_related("workspace"), uid=uid)
    revoke_invitation(visit.actor, row)
    messages.success(visit.request, _("The link to %(mail)s opens nothing any more.") % {"mail": row.mail})
    return redirect(visit.url("members"))
