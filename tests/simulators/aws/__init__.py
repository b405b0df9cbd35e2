"""AWS, played on a port of this machine: README.md says what, and how sure each part is."""
