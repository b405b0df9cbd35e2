"""Units of memory. The agent keeps its own: it runs where nothing else of ours is installed."""

GIB = 1024**3
