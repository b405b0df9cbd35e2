"""Replays recorded exchanges with a Kubernetes API server and compares the answers (shared/kubernetes/README.md)."""
