"""Serves one page on $PORT with Python's standard library."""
import html
import http.server
import os
import pathlib
import platform
import signal
import threading

PAGE = pathlib.Path(__file__).with_name("page.html").read_text()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/health":
            self.answer(200, "application/json", '{"healthy": true}\n')
        elif self.path == "/":
            facts = {"host": self.headers.get("Host", ""), "python": platform.python_version()}
            page = PAGE
            for name, value in facts.items():
                page = page.replace("{{" + name + "}}", html.escape(value))
            self.answer(200, "text/html; charset=utf-8", page)
        else:
            self.answer(404, "text/plain; charset=utf-8", "There is nothing here.\n")

    do_HEAD = do_GET

    def answer(self, status, kind, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def main():
    server = http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()


if __name__ == "__main__":
    main()
