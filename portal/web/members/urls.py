from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("members/", views.members, name="members"),
    path("members/invite/", views.send_invitation, name="member-invite"),
    path("members/<uuid:uid>/role/", views.role, name="member-role"),
    path("members/<uuid:uid>/remove/", views.remove, name="member-remove"),
    path("members/invitations/<uuid:uid>/revoke/", views.revoke, name="invitation-revoke"),
]
