from django.urls import path

from . import agent_api

urlpatterns = [
    path("enrol", agent_api.enrol),
    path("sync", agent_api.sync),
    path("wake", agent_api.wake),
    path("cluster/manifest", agent_api.cluster_manifest),
    path("cluster/enrol", agent_api.enrol_cluster),
    path("cluster/calls", agent_api.cluster_calls),
    path("cluster/answers", agent_api.cluster_answers),
]
