from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("models/", views.models, name="models"),
    path("models/<str:model>/", views.model, name="model"),
]
