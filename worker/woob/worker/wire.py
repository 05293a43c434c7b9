"""The worker's side of CWP/1: one line in, lines out, and nothing else on the output."""

import contextlib
import ctypes
import json
import os
import sys
import threading

VERSION = 1


class Wire:
    """The two ends of the conversation. Emitting is safe from any thread."""

    def __init__(self):
        # Whatever modules print goes to standard error: the output is ours alone.
        self._out = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        self._in = sys.stdin.buffer
        self._lock = threading.Lock()

    def order(self):
        """The one line we are given, with its secrets. From then on the input says when to stop."""
        order = json.loads(self._in.readline())
        threading.Thread(target=self._watch, daemon=True).start()
        return order

    def _watch(self):
        """Stops us when told to, and when whoever started us is gone."""
        for line in self._in:
            with contextlib.suppress(ValueError):
                if json.loads(line).get("type") == "cancel":
                    break
        with contextlib.suppress(OSError):
            if os.getpgrp() == os.getpid():
                os.killpg(0, 9)
        os._exit(1)

    def emit(self, message, **fields):
        line = json.dumps({"type": message, **fields}, ensure_ascii=False, separators=(",", ":"))
        data = line.encode("utf-8", "replace") + b"\n"
        with self._lock:
            while data:
                data = data[self._out.write(data) :]

    def progress(self, phase, done=0, total=0):
        self.emit("progress", phase=phase, done=done, total=total)

    @contextlib.contextmanager
    def ticking(self, phase, seconds=10):
        """Says again and again that we live, while a module waits for someone's phone."""
        done = threading.Event()

        def tick():
            while not done.wait(seconds):
                self.progress(phase)

        thread = threading.Thread(target=tick, daemon=True)
        self.progress(phase)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def harden():
    """What we write is for nobody else, and our memory is not dumped nor traced."""
    os.umask(0o077)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
