"""Routing tables, lanes and channels: how checked rows reach a host and their answers come back.

One thread - that of the event loop - owns everything here, so nothing has a lock. Nothing here knows Flask or HTTP.
"""
