"""The catalogue: what can be served, whether it fits in my places, and one model in full."""
