"""Settings: one typed table, read in layers. Nothing here knows Flask."""

from __future__ import annotations

from .settings import APP, BY_NAME, CONFIG_FILE, SETTINGS, Settings
from .values import PREFIX, Setting, show, show_size
from .yamlfile import read_yaml

__all__ = ["APP", "BY_NAME", "CONFIG_FILE", "PREFIX", "SETTINGS", "Setting", "Settings", "read_yaml", "show", "show_size"]
