"""One's own account. The pages of django-allauth stand beside these, in `entrance`."""

from __future__ import annotations

from django.urls import path

from . import invitation, views

urlpatterns = [
    path("", views.account, name="account"),
    path("sessions/<int:session>/end/", views.end_session, name="session-end"),
    path("sessions/end-others/", views.end_other_sessions, name="sessions-end"),
    path("invitation/", invitation.invitation, name="invitation"),
    path("invitation/<str:token>/", invitation.follow, name="invitation-link"),
]
