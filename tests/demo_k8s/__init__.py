"""`make demo-k8s`: the portal over two simulated clusters, with endpoints in every state, for looking around."""
