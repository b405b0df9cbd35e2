import environ

# Every process sends tasks but the gateway's own workers, for which it would be 10 MB for nothing.
if not environ.Env().bool("PORTAL_ONLY_GATEWAY", default=False):
    from .celery import app as celery_app

    __all__ = ["celery_app"]
