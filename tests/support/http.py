"""HTTP with nothing decoded, re-ordered or added: a signature covers the bytes sent."""

import http.client
import json
import socket
import ssl
import urllib.parse


class Answer:
    """A response, read whole."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def __repr__(self):
        return f"{self.status} {self.text[:300]!r}"


def send(base, method, target, body=b"", headers=(), timeout=20, context=None):
    """Sends `target` byte for byte to `base` and gives the answer."""
    parts = urllib.parse.urlsplit(base)
    if parts.scheme == "https":
        context = context or ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        names = [name.lower() for name, _ in headers]
        if "host" not in names:
            connection.putheader("host", parts.netloc)
        if "content-length" not in names and (body or method not in ("GET", "HEAD")):
            connection.putheader("content-length", str(len(body)))
        for name, value in headers:
            connection.putheader(name, value)
        try:
            connection.endheaders(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # Answered before the whole body was sent; the answer may still be read.
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        connection.close()


def raw(base, data, timeout=20, shut=True):
    """Sends bytes that need not be HTTP and gives all that comes back."""
    parts = urllib.parse.urlsplit(base)
    with socket.create_connection((parts.hostname, parts.port), timeout=timeout) as connection:
        connection.sendall(data)
        if shut:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while True:
            try:
                piece = connection.recv(65536)
            except ConnectionResetError:
                return received
            if not piece:
                return received
            received += piece
