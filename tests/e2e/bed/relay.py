"""A relay in front of a counterpart, which can do it harm on the way: so a counterpart is refusing, slow or silent for one
platform and nobody else."""

import contextlib
import ctypes
import os
import socket
import struct
import threading
import time

# An address of no family: to connect to it breaks a TCP connection by a reset at once (connect(2)), and wakes whoever reads
# from it. A close does so only when nobody reads any more, and a shutdown is an orderly end.
NOWHERE = struct.pack("H14x", socket.AF_UNSPEC)
LIBC = ctypes.CDLL(None, use_errno=True)


def _socket_of(address):
    """A socket for an address (`unix:///path`, `tcp://host:port`, `http://host:port`), and what it connects to."""
    kind, _, rest = address.partition("://")
    if kind == "unix" or not rest:
        return socket.socket(socket.AF_UNIX), rest or address
    host, _, port = rest.rstrip("/").rpartition(":")
    return socket.socket(socket.AF_INET), (host, int(port))


class Relay:
    """Passes connections to one address on to another. `near` is a path, or `tcp` for a port of `host`."""

    def __init__(self, near, target, host="127.0.0.1"):
        self.target, self.host = target, host
        self.port = None
        self.path = None if str(near) == "tcp" else str(near)
        self.listener = None
        self.open = set()
        self.lock = threading.Lock()
        self.pause = 0.0
        self.flows = threading.Event()
        self.flows.set()
        self.restore()

    @property
    def address(self):
        """Its address."""
        return f"unix://{self.path}" if self.path else f"tcp://{self.host}:{self.port}"

    # --- What it can do ------------------------------------------------------------------

    def restore(self):
        """Listens, again, and passes everything on at once."""
        self.pause = 0.0
        self.flows.set()
        if self.listener is not None:
            return
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.path)
        else:
            self.listener = socket.socket(socket.AF_INET)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((self.host, self.port or 0))
            self.port = self.listener.getsockname()[1]
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
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        self.flows.set()
        self._end_all()

    def slow(self, seconds):
        """Holds every piece that passes for so long."""
        self.pause = seconds

    def silence(self):
        """Takes connections, and passes nothing on in either direction until it is restored."""
        self.flows.clear()

    def reset(self):
        """Breaks every connection by a reset; new ones are passed on."""
        self._end_all(reset=True)

    def forget(self):
        """Leaves every connection half open: neither side hears of the other again, nor of its end. New ones are passed on."""
        with self.lock:
            for connection in self.open:
                connection.forgotten = True

    def bury(self):
        """Ends what was left half open, which else a counterpart would keep for hours."""
        with self.lock:
            lost = {connection for connection in self.open if connection.forgotten}
            self.open -= lost
        for connection in lost:
            connection.end(reset=True)

    # --- How -----------------------------------------------------------------------------

    def _end_all(self, reset=False):
        with self.lock:
            ending, self.open = self.open, set()
        for connection in ending:
            connection.end(reset)

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near):
        self.flows.wait()
        if self.listener is None:
            near.close()
            return
        far, address = _socket_of(self.target)
        try:
            far.connect(address)
        except OSError:
            near.close()
            far.close()
            return
        connection = _Connection(self, near, far)
        with self.lock:
            self.open.add(connection)
        connection.start()


class _Connection:
    """Two sockets, and a thread for each direction."""

    def __init__(self, relay, near, far):
        self.relay, self.near, self.far = relay, near, far
        self.forgotten = self.broken = False
        self.halves = 2

    def start(self):
        for source, sink in ((self.near, self.far), (self.far, self.near)):
            threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def end(self, reset=False):
        # The end of one side is not passed on as an orderly one.
        self.broken = reset
        for one in (self.near, self.far):
            with contextlib.suppress(OSError):
                if reset and one.family == socket.AF_INET:
                    LIBC.connect(one.fileno(), NOWHERE, len(NOWHERE))
                else:
                    one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _pass_on(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.relay.flows.wait()
                if self.relay.pause:
                    time.sleep(self.relay.pause)
                if not self.forgotten:
                    sink.sendall(data)
        self.relay.flows.wait()
        if self.forgotten:
            # Of a forgotten one only the side that ends is closed; the other waits as one does for a lost machine.
            source.close()
            return
        if self.broken:
            return
        # Half of a connection may end: a hijacked one tells its end so.
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            source.shutdown(socket.SHUT_RD)
        with self.relay.lock:
            self.halves -= 1
            if self.halves == 0:
                self.relay.open.discard(self)
                self.near.close()
                self.far.close()
