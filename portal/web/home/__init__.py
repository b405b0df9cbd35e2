"""The first page of a workspace: what needs me, what runs, what it costs, what is free."""
