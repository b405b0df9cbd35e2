"""Preheating as pure functions: the objects that load a copy, what their status means, and how far the loader is.

Nothing here asks a cluster or the database; `models_catalog.services.copies` and `.keeper` do.
"""
