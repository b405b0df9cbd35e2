"""Keys of programs: which there are, which end or sleep, a new one that is shown once, and their end."""
