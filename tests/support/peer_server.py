"""A server that a test plays a provider or a citizen's server with."""

import errno
import http.server
import sys
import threading
import time


class PeerServer(http.server.ThreadingHTTPServer):
    """Serves on a free port of this machine until the test program ends."""

    daemon_threads = True
    request_queue_size = 128  # http.server's own 5 drops connections that arrive at the same moment.

    def handle_error(self, request, client_address):
        """Says what went wrong, but for a connection that was only cut: our program closes idle ones, and tests kill it."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def start(handler, port=0):
    """Starts one with this handler, on any free port or on this one, where one was stopped before."""
    end = time.monotonic() + 30
    while True:
        try:
            server = PeerServer(("127.0.0.1", port), handler)
            break
        except OSError as error:
            # A program that was killed has its sockets until the system has taken it apart, and its children may outlive it a little.
            if error.errno != errno.EADDRINUSE or time.monotonic() > end:
                raise
            time.sleep(0.1)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server
