"""Members of a workspace: who is in, with which role, who is invited; and the way out."""
