"""The one process per home that owns hosts and pushes routing tables: a face like the others, whose caller is the clock.

Workers and commands reach it over ``steward.sock`` in the run directory: JSON, one message a line, same user only.
Nothing here knows Flask or HTTP, and predictions never pass through it: it may die, and they go on.
"""
