"""Signals that an application may listen to. They are sent after the fact; a receiver cannot change an answer.

::

    @prediction_made.connect
    def count(sender, model, version, rows, seconds, **_): ...

``prediction_made``  ``sender`` is the :class:`~flask_carafe.Carafe`; ``model``, ``version``, ``rows``, ``seconds``,
``prediction_id``, ``door``. Sent in the web worker that answered, after the answer was built. Never carries inputs.

``model_loaded``  ``model``, ``version``, ``signature``, ``runtime``. Sent in each web worker when a version first
becomes ready in its routing table.
"""

from __future__ import annotations

from blinker import Namespace

signals = Namespace()
prediction_made = signals.signal("carafe-prediction-made")
model_loaded = signals.signal("carafe-model-loaded")
