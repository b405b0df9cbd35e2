"""The three plain patch forms: merge (RFC 7386), JSON (RFC 6902) and Kubernetes' strategic merge."""
