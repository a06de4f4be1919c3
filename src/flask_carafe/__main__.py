"""``python -m flask_carafe`` is ``carafe``."""

from __future__ import annotations

import sys

from flask_carafe.cli import main

if __name__ == "__main__":
    sys.exit(main())
