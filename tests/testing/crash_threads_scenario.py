"""A scenario whose import starts a thread: the fork server must refuse it."""

import threading
from pathlib import Path

_thread = threading.Thread(target=threading.Event().wait, name="busybody", daemon=True)
_thread.start()


def run(world: Path) -> None:
    raise AssertionError("never run")


recover = check = run
