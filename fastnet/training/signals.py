"""Signals that end a training politely."""
import os
import signal
import threading
from contextlib import contextmanager


@contextmanager
def interruptible(interrupt):
    """Within the `with` block Ctrl-C and SIGTERM call `interrupt` instead of breaking into the middle of an update.

    Python has signals in the main thread only, and somebody else's handler is left in charge.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number, frame):
        interrupt()
        os.write(2, b"\nending after this step; once more to abort\n")  # print may be busy under the handler

    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    ours = [number for number, handler in usual.items() if signal.getsignal(number) == handler]
    try:
        for number in ours:
            signal.signal(number, handle)
        yield
    finally:
        for number in ours:
            signal.signal(number, usual[number])
