"""The secret of a home: made once, kept in ``secret_key`` in the home, the same for all its processes."""

from __future__ import annotations

import contextlib
import os
import secrets
from hashlib import blake2b

from .settings import Settings

FILE = "secret_key"


def key_for(settings: Settings, purpose: str) -> bytes:
    """32 bytes of the home's secret for one purpose alone; a secret is made where there is none.

    :param purpose: at most 16 characters; another purpose gets another key.
    :raises OSError: the secret can be neither read nor made.
    """
    secret = settings.secret_key or _kept(settings)
    return blake2b(secret.encode(), digest_size=32, person=purpose.encode()).digest()


def _kept(settings: Settings) -> str:
    path = settings.home / FILE
    if not path.exists():
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = path.with_name(f".{FILE}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
                file.flush()
                os.fsync(descriptor)
            with contextlib.suppress(FileExistsError):  # another process was quicker: its secret counts
                os.link(made, path)
        finally:
            made.unlink()
    secret = path.read_text(encoding="ascii").strip()
    if len(secret) < 16:
        raise OSError(f"{path} holds no secret; remove it, and another is made")
    return secret
