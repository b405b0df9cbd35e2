"""Requests as bytes, each with what must come of it (T29 to T31, T39)."""
