"""Requests at a steady rate, each of which must be answered by the application, and a WebSocket that stays open."""

import asyncio
import base64
import collections
import itertools
import os
import struct
import time

TIMEOUT = 20
WORKERS = 48
BODY = b"posted-" * 40


class Connection:
    """One connection that speaks as much of HTTP/1.1 as is needed here."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port):
        """To the proxy."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request):
        """Sends a request; status, headers and body of its answer."""
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in head[1:] if b": " in line)
        if b"content-length" in headers:
            body = await self.reader.readexactly(int(headers[b"content-length"]))
        elif headers.get(b"transfer-encoding") == b"chunked":
            body = b""
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readuntil(b"\r\n")
        else:
            body = await self.reader.read()
        return int(head[0].split(b" ")[1]), headers, body

    def close(self):
        """At once."""
        self.writer.close()


class Traffic:
    """Asks an application at a rate. A quarter each: GET and POST, on kept connections and on new ones.

    Latency counts from when a request was due, so that one that falls behind is seen in it; the time of an answer counts
    from when its request was sent. Where only the first is long, it was the generator that got no processor.
    """

    def __init__(self, port, host, rate):
        self.port, self.rate = port, rate
        common = f"Host: {host}\r\nUser-Agent: load\r\n".encode()
        post = b"POST /posted HTTP/1.1\r\n" + common + b"Content-Type: text/plain\r\nContent-Length: %d\r\n" % len(BODY)
        self.requests = [
            b"GET / HTTP/1.1\r\n" + common + b"\r\n",
            b"GET / HTTP/1.1\r\n" + common + b"Connection: close\r\n\r\n",
            post + b"\r\n" + BODY,
            post + b"Connection: close\r\n\r\n" + BODY,
        ]
        self.asked, self.latencies, self.answer_times, self.troubles = 0, [], [], []
        self.served_by = collections.Counter()
        self.stopping = False

    async def run(self, seconds=None):
        """Asks for so long, or until `stop`."""
        began = time.monotonic()
        slots = itertools.count()
        await asyncio.gather(*(self.worker(slots, began, seconds) for _ in range(WORKERS)))
        self.seconds = time.monotonic() - began
        return self

    def stop(self):
        """Ends it after the requests that are under way."""
        self.stopping = True

    async def worker(self, slots, began, seconds):
        kept = None
        while not self.stopping:
            slot = next(slots)
            due = began + slot / self.rate
            if seconds is not None and due - began > seconds:
                break
            await asyncio.sleep(max(0, due - time.monotonic()))
            is_post, is_new = slot % 4 >= 2, slot % 2 == 1
            connection = None if is_new else kept
            self.asked += 1
            sent = time.monotonic()
            try:
                async with asyncio.timeout(TIMEOUT):
                    connection = connection or await Connection.open(self.port)
                    status, headers, body = await connection.ask(self.requests[slot % 4])
                self.judge(is_post, status, headers, body)
                self.latencies.append(time.monotonic() - due)
                self.answer_times.append(time.monotonic() - sent)
                if not is_new:
                    kept = None if headers.get(b"connection") == b"close" else connection
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError) as error:
                self.troubles.append(("lost", f"{'POST' if is_post else 'GET'} on a {'new' if is_new else 'kept'} connection: {error!r}"))
                if connection is not None:
                    connection.close()
                kept = None if not is_new else kept
                continue
            if is_new or kept is None:
                connection.close()
        if kept is not None:
            kept.close()

    def judge(self, is_post, status, headers, body):
        """Only the application's own answer is one."""
        if status != 200:
            self.troubles.append((f"status {status}", body[:200].decode(errors="replace")))
        elif is_post and body != BODY:
            self.troubles.append(("wrong body", body[:200].decode(errors="replace")))
        elif not is_post and not body.startswith(b"text of "):
            self.troubles.append(("answered by nobody", body[:200].decode(errors="replace")))
        elif not is_post:
            self.served_by[body.split()[-1].decode()] += 1


class Socket:
    """A WebSocket that says something again and again, and must hear it."""

    def __init__(self, port, host):
        self.port, self.host, self.echoes, self.trouble, self.slowest = port, host, 0, None, 0.0
        self.stopping = False

    async def run(self):
        """Until `stop`, or until it breaks."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            key = base64.b64encode(os.urandom(16)).decode()
            writer.write(
                f"GET /socket HTTP/1.1\r\nHost: {self.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 101 " not in head.split(b"\r\n")[0]:
                raise ValueError(head.decode(errors="replace"))
            while not self.stopping:
                began, text, mask = time.monotonic(), f"echo {self.echoes}".encode(), os.urandom(4)
                masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))
                writer.write(struct.pack("!BB", 0x81, 0x80 | len(text)) + mask + masked)
                async with asyncio.timeout(TIMEOUT):
                    answer = await reader.readexactly(2 + len(text))
                if answer[2:] != text:
                    raise ValueError(f"it echoed {answer!r}")
                self.echoes += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
                await asyncio.sleep(0.1)
            writer.close()
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError) as error:
            self.trouble = repr(error)

    def stop(self):
        """Ends it."""
        self.stopping = True
