"""The tenant's portal: the pages on which people choose, deploy, watch and try models. The roof; it knows all rooms."""
