"""A backend in Python that reads the record of the session from Redis itself, and writes to it.

    python3 record.py [PORT [REDIS_PORT]]

With a client library this is `redis.Redis().hgetall(key)`; here the standard library has to do.
"""

import json
import socket
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server


def command(connection, *words):
    """One command of Redis, and its answer."""
    request = b"*%d\r\n" % len(words)
    for word in words:
        word = word.encode()
        request += b"$%d\r\n%s\r\n" % (len(word), word)
    connection.write(request)
    connection.flush()
    return answer(connection)


def answer(connection):
    line = connection.readline()[:-2]
    kind, rest = line[:1], line[1:]
    if kind == b"*":
        return [answer(connection) for _ in range(int(rest))]
    if kind == b"$":
        return None if rest == b"-1" else connection.read(int(rest) + 2)[:-2].decode()
    if kind == b"-":
        raise RuntimeError(rest.decode())
    return rest.decode()


def application(environ, start_response):
    key = environ.get("HTTP_RONDEL_SESSION")  # rondel:s:...
    record = {}
    if key:
        with socket.create_connection(("127.0.0.1", redis_port)) as stream:
            with stream.makefile("rwb") as connection:
                # Only while the record is there: a write must not bring an ended session back.
                if command(connection, "EXISTS", key) == "1":
                    command(connection, "HINCRBY", key, "d:reads", "1")
                flat = command(connection, "HGETALL", key)
                record = dict(zip(flat[::2], flat[1::2]))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(record).encode()]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    redis_port = int(sys.argv[2]) if len(sys.argv) > 2 else 6379
    with make_server("127.0.0.1", port, application, handler_class=Quiet) as server:
        print("listening on", server.server_port, flush=True)
        server.serve_forever()
