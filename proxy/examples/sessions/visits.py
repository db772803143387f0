"""A backend in Python (WSGI, standard library alone) that keeps a count in the session.

    python3 visits.py [PORT]
"""

import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server


def application(environ, start_response):
    visits = int(environ.get("HTTP_RONDEL_SESSION_VISITS", "0")) + 1
    start_response("200 OK", [
        ("Content-Type", "text/plain"),
        # Taken off by the proxy and kept in the session. An empty value would delete it.
        ("Rondel-Session-Visits", str(visits)),
    ])
    return [f"visit {visits}\n".encode()]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    with make_server("127.0.0.1", port, application, handler_class=Quiet) as server:
        print("listening on", server.server_port, flush=True)
        server.serve_forever()
