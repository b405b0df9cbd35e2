"""What the API server does with objects, without HTTP: create, replace, patch, delete."""
