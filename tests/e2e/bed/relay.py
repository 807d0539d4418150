"""A relay in front of a Unix socket, which can be cut: so a counterpart is stopped for one platform and nobody else."""

import contextlib
import os
import socket
import threading


class Relay:
    """Passes connections of one Unix socket on to another, unless it is cut."""

    def __init__(self, path, target):
        self.path, self.target = str(path), target.removeprefix("unix://")
        self.listener = None
        self.open = set()
        self.lock = threading.Lock()
        self.restore()

    @property
    def address(self):
        """Its address."""
        return f"unix://{self.path}"

    def restore(self):
        """Listens, again."""
        assert self.listener is None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def cut(self):
        """Listens no more, and breaks every connection."""
        if self.listener is None:
            return
        listener, self.listener = self.listener, None
        # A close alone would leave the accepting thread inside its call.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        with self.lock:
            ends, self.open = self.open, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(self.target)
            except OSError:
                near.close()
                continue
            with self.lock:
                self.open |= {near, far}
            halves = [2]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink, halves), daemon=True).start()

    def _pass_on(self, source, sink, halves):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        # Half of a connection may end: a hijacked one tells its end so.
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            source.shutdown(socket.SHUT_RD)
        with self.lock:
            halves[0] -= 1
            if halves[0] == 0:
                self.open -= {source, sink}
                source.close()
                sink.close()
