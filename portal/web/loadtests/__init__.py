"""Load tests: those that ran, a new one with what it will use, one run with its figures, two runs beside each other."""
