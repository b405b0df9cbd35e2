"""Tables of engine options, one JSON file a release; written by ``manage.py engine_args``."""
