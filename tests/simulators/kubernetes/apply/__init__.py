"""Server-side apply: who manages which field, merging by the schema's list keys, conflicts.

After https://kubernetes.io/docs/reference/using-api/server-side-apply/ and the algorithms of
sigs.k8s.io/structured-merge-diff (its code was not copied).
"""
