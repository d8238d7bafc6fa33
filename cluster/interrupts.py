"""Ctrl+C as Python has it, around libraries that take it for themselves."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def interrupts_raised() -> Iterator[None]:
    """Raise KeyboardInterrupt if Ray Train or Ray Tune was interrupted, and take its handler away.

    Train ends the process then, with the exit code of a success; Tune ends its run as if it were whole. Neither gives
    the handler back that it puts in the place of Python's: whatever comes after would be ended like the training that
    is over, or not hear the first interrupt.
    """
    if threading.current_thread() is not threading.main_thread():  # elsewhere they have no handler
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
        was_heard = signal.getsignal(signal.SIGINT) is before  # Tune gives way to it once it has heard one
    except SystemExit as end:  # Train's
        raise KeyboardInterrupt from end
    finally:
        signal.signal(signal.SIGINT, before)
    if was_heard:
        raise KeyboardInterrupt
