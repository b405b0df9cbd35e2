from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("loadtests/", views.loadtests, name="loadtests"),
    path("loadtests/new/", views.new, name="loadtest-new"),
    path("loadtests/<uuid:uid>/", views.loadtest, name="loadtest"),
    path("loadtests/<uuid:uid>/live/", views.live, name="loadtest-live"),
    path("loadtests/<uuid:uid>/points.csv", views.points, name="loadtest-csv"),
    path("loadtests/<uuid:uid>/cancel/", views.cancel, name="loadtest-cancel"),
    path("loadtests/<uuid:uid>/notes/", views.notes, name="loadtest-notes"),
    path("loadtests/<uuid:uid>/delete/", views.delete, name="loadtest-delete"),
]
