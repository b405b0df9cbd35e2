"""Kubernetes clusters as places."""
