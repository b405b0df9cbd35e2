"""`manage.py up`: the portal's processes on one machine, started, watched and stopped together."""
