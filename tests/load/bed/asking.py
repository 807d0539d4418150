"""Asking a page until it says what it should."""

import http.client
import time


def until_text(port, host, text, began, address="127.0.0.1", limit=300, pause=0.005, path="/"):
    """Seconds from `began` until the page holds the text with status 200; asked every 5 ms on one kept connection."""
    connection = None
    last = "nothing"
    while time.monotonic() - began < limit:
        try:
            if connection is None:
                connection = http.client.HTTPConnection(address, port, timeout=10)
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            body = answer.read().decode(errors="replace")
            if answer.status == 200 and text in body:
                connection.close()
                return time.monotonic() - began
            last = f"{answer.status} {body[:200]}"
            if answer.will_close:
                connection.close()
                connection = None
        except (OSError, http.client.HTTPException) as error:
            last = repr(error)
            if connection is not None:
                connection.close()
            connection = None
        time.sleep(pause)
    raise RuntimeError(f"{host or address}:{port} never said `{text}`; it said last: {last}")
