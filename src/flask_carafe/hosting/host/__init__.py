"""The child script: it loads one version and answers frames of rows. It runs on Python 3.6-3.14 and imports nothing of ours.

``__main__.py`` is started as a plain script and loads this folder as the package ``carafe_host``. Types are told in
docstrings, since annotations of today do not parse on Python 3.6. Only this folder imports machine-learning libraries,
each in the one file that needs it.
"""
