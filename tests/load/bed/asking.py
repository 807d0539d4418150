"""Asking a page until it is the one that is waited for."""

import http.client
import time

PAUSE = 0.005


def until_text(port, host, text, began, address="127.0.0.1"):
    """Seconds from `began` until the page holds the text."""
    return until(port, host, began, lambda answer, body: text in body, f"the text `{text}`", address)


def until_deployment(port, host, deployment, began):
    """Seconds from `began` until the proxy says that this deployment answers, for pages that look the same."""
    fits = lambda answer, _: answer.headers.get("Click-Deploy-Deployment") == deployment  # noqa: E731
    return until(port, host, began, fits, deployment)


def until(port, host, began, fits, what, address="127.0.0.1", limit=300):
    """Asks every 5 ms, on one kept connection where the other side keeps it, for a status of 200 that fits."""
    connection, last = None, "nothing"
    while time.monotonic() - began < limit:
        try:
            if connection is None:
                connection = http.client.HTTPConnection(address, port, timeout=10)
            connection.request("GET", "/", headers={"Host": host, "Click-Deploy-Probe": "1"})
            answer = connection.getresponse()
            body = answer.read().decode(errors="replace")
            if answer.status == 200 and fits(answer, body):
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
        time.sleep(PAUSE)
    raise RuntimeError(f"{host} at {address}:{port} never came to {what}; it said last: {last}")
