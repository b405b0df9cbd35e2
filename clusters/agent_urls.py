from django.urls import path

from . import agent_api

urlpatterns = [
    path("enrol", agent_api.enrol),
    path("sync", agent_api.sync),
    path("wake", agent_api.wake),
]
