"""Deploy a model: three choices with a plan beside them; and the same form for a new revision of an endpoint."""
