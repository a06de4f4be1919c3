"""Face: JSON over HTTP. It parses, calls one operation and formats; pages are in ``console/``, predictions in ``dataplane/``."""
