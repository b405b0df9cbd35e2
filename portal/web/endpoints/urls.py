from __future__ import annotations

from django.urls import path

from . import calling, detail, figures, history, listing, logs, scaling, stream, verbs, why

ONE = "endpoints/<uuid:uid>/"
urlpatterns = [
    path("endpoints/", listing.listing, name="endpoints"),
    path(ONE, detail.endpoint, name="endpoint"),
    path(f"{ONE}part/<slug:name>/", detail.part, name="endpoint-part"),
    path(f"{ONE}stream/", stream.stream, name="endpoint-stream"),
    path(f"{ONE}figures/", figures.live_figures, name="endpoint-figures"),
    path(f"{ONE}log/", logs.log, name="endpoint-log"),
    path(f"{ONE}log/file/", logs.log_file, name="endpoint-log-file"),
    path(f"{ONE}events/", history.events, name="endpoint-events"),
    path(f"{ONE}revisions/", history.revisions, name="endpoint-revisions"),
    path(f"{ONE}compare/", history.compare, name="endpoint-compare"),
    path(f"{ONE}why/", why.why, name="endpoint-why"),
    path(f"{ONE}key/", calling.new_key, name="endpoint-key"),
    path(f"{ONE}scale/", scaling.scale, name="endpoint-scale"),
    path(f"{ONE}autoscale/", scaling.autoscale, name="endpoint-autoscale"),
    path(f"{ONE}stop/", verbs.stop, name="endpoint-stop"),
    path(f"{ONE}start/", verbs.start, name="endpoint-start"),
    path(f"{ONE}retry/", verbs.retry, name="endpoint-retry"),
    path(f"{ONE}rollback/", verbs.roll_back, name="endpoint-rollback"),
    path(f"{ONE}drift/", verbs.settle_drift, name="endpoint-drift"),
    path(f"{ONE}delete/", verbs.delete, name="endpoint-delete"),
]
