"""The application of most tests: one file of Python, told by its environment how to behave.

TEXT: what every path answers (else the file `version` beside it). BEHAVE_SLEEP: seconds before it listens. BEHAVE_EXIT:
ends at once with this code. BEHAVE_PORT, BEHAVE_HOST: where it listens instead of $PORT on all addresses.
BEHAVE_MEMORY_MB: takes so much memory first. BEHAVE_HEALTH: the status of `/health`. BEHAVE_SLOW: seconds before `/` is
answered, while other paths are answered at once. BEHAVE_LINES, BEHAVE_PAUSE: numbered lines, and the seconds after each
hundred. BEHAVE_SAY: printed as it is.
"""

import base64
import hashlib
import json
import os
import signal
import socketserver
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit


def behave(name, default=""):
    return os.environ.get("BEHAVE_" + name, default)


def text():
    if "TEXT" in os.environ:
        return os.environ["TEXT"]
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "version")) as file:
        return file.read().strip()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="text/plain; charset=utf-8"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        address = urlsplit(self.path)
        query = parse_qs(address.query)
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.echo_frames()
        if address.path == "/env":
            values = {os.fsdecode(k): base64.b64encode(v).decode() for k, v in os.environb.items()}
            return self.answer(200, json.dumps(values).encode(), "application/json")
        if address.path == "/who":
            return self.answer(200, f"{os.uname().nodename} {os.environ.get('CLICK_DEPLOY_REPLICA', '')}".encode())
        if address.path == "/slow":
            time.sleep(float(query["seconds"][0]))
            return self.answer(200, text().encode())
        if address.path == "/health":
            return self.answer(int(behave("HEALTH", "200")), b"health")
        if address.path == "/print":
            print(query["text"][0], flush=True)
            return self.answer(200, b"printed")
        if address.path == "/exit":
            os._exit(int(query.get("code", ["1"])[0]))
        if address.path == "/":
            time.sleep(float(behave("SLOW", "0")))
        self.answer(200, text().encode())

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.answer(200, text().encode() + b" " + body)

    def echo_frames(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        while True:
            head = self.rfile.read(2)
            if len(head) < 2:
                return
            kind, length = head[0] & 0x0F, head[1] & 0x7F
            if length == 126:
                length = struct.unpack(">H", self.rfile.read(2))[0]
            mask = self.rfile.read(4)
            data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(length)))
            if kind == 8:
                return
            self.wfile.write(bytes([0x80 | (10 if kind == 9 else kind), len(data)]) + data)
            self.wfile.flush()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512


def chatter():
    if behave("SAY"):
        print(behave("SAY"), flush=True)
    pause = float(behave("PAUSE", "0"))
    for number in range(1, int(behave("LINES", "0")) + 1):
        print(f"line {number:06d}", flush=number % 100 == 0)
        if number % 100 == 0 and pause:
            time.sleep(pause)
    sys.stdout.flush()


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if behave("EXIT"):
        print("this application ends at once", file=sys.stderr, flush=True)
        sys.exit(int(behave("EXIT")))
    if behave("MEMORY_MB"):
        taken = []
        for _ in range(int(behave("MEMORY_MB"))):
            taken.append(bytearray(os.urandom(4096) * 256))
    time.sleep(float(behave("SLEEP", "0")))
    threading.Thread(target=chatter, daemon=True).start()
    port = int(behave("PORT") or os.environ.get("PORT", "8080"))
    Server((behave("HOST", "0.0.0.0"), port), Handler).serve_forever()


main()
