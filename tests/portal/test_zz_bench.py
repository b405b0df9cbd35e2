import time, statistics, pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from tests.portal.test_api_races import *
from portal.tenancy.models import Membership
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
def test_bench(ready):
    caller = Api(key=key_text(ready.bob, ready.alpha))
    caller.post("endpoints", body("one"))
    e=Endpoint.objects.first()
    spaces=[e.workspace]+[Workspace.objects.create(name=f"w{i}", slug=f"w{i}") for i in range(50)]
    N=100_000
    for k in range(0,N,5000):
        Endpoint.objects.bulk_create([Endpoint(workspace=spaces[i%51], cluster=e.cluster, name=f"n{i}", public_name=f"n{i}", public_key=f"n{i}", wanted=e.wanted, created_by=e.created_by) for i in range(k,k+5000)], batch_size=1000)
    with connection.cursor() as c: c.execute("ANALYZE" if connection.vendor=="sqlite" else "ANALYZE TABLE endpoints_endpoint, tenancy_workspace, clusters_cluster")
    from django.core import signing
    pks=list(Endpoint.objects.order_by("-pk").values_list("pk", flat=True))
    deep=signing.dumps(pks[90_000], salt="cursor:endpoints.endpoint")
    for who, api in (("key", caller), ("operator", Api(ready.operator)), ("bob", Api(ready.bob))):
        for q in ("", f"&cursor={deep}", "&status=INSERVICE", "&place=here", "&model=tiny-chat", "&workspace=alpha"):
            api.get(f"endpoints?limit=50{q}")
            t=[]
            for n in range(5):
                b=time.perf_counter(); r=api.get(f"endpoints?limit=50{q}"); t.append((time.perf_counter()-b)*1000)
            with CaptureQueriesContext(connection) as seen: api.get(f"endpoints?limit=50{q}")
            print("BENCH", connection.vendor, who, q[:20], "p50 %.1f"%statistics.median(t), len(seen), len(r.json()["items"]))
