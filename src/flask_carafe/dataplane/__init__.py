"""Face: predictions over HTTP, by three doors with equal answers.

``loop`` (RSGI under ``carafe serve``), ``flask`` (ordinary views inside an app) and ``wsgi`` (middleware, opt-in). What
they share - reading a body, writing an answer, wording an error - is in :mod:`.native`; only the wait differs.
"""
