"""The catalogue that the portal comes with: facts in JSON, profiles by arithmetic, one command that loads both."""
