"""Endpoints: the list, one endpoint as it lives, why it is not ready, and every verb on it."""
