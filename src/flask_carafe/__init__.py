"""Flask-Carafe turns a trained model into a production web application on Flask."""

from __future__ import annotations

__version__ = "0.1.0"
