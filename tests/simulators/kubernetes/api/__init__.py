"""The HTTP side: paths, verbs, answers."""
