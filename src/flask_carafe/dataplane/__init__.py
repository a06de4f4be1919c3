"""Face: predictions over HTTP, by three doors with equal answers, in several protocols.

Doors: ``loop`` (RSGI under ``carafe serve``), ``flask`` (ordinary views inside an app) and ``wsgi`` (middleware, opt-in); only the
wait differs. How a request is read and an answer or error is written belongs to a :class:`.protocol.Protocol`: the native one,
and the dialects of other servers.
"""
