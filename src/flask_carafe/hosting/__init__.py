"""Model hosts: frames, processes, supervision. Nothing here knows Flask; only ``host/`` knows a model library."""
