"""Find anything: one question over all that a person may see in a workspace, from every page."""
