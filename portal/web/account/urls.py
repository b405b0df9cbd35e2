"""One's own account. The pages of django-allauth stand beside these, in `entrance`."""

from __future__ import annotations

from django.urls import path

from . import invitation

urlpatterns = [
    path("invitation/", invitation.invitation, name="invitation"),
    path("invitation/<str:token>/", invitation.follow, name="invitation-link"),
]
