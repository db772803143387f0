"""Both ends of gRPC, by its reference implementation, to talk through the proxy.

    peer.py serve                  serves, and writes its port
    peer.py call ADDRESS [CA]      calls, and ends with an error where it is not as it should be

Messages are plain bytes, so that nothing has to be generated.
"""

import sys
import threading
import time
from concurrent import futures

import grpc

SERVICE = "test.Echo"
given_up = threading.Semaphore(0)


def unary(request, context):
    context.send_initial_metadata((("x-initial", "i"),))
    context.set_trailing_metadata((("x-trailing", "t"), ("x-binary-bin", b"\x00\xff")))
    sent = dict(context.invocation_metadata())
    return request + sent.get("x-sent", "").encode()


def server_stream(request, context):
    for number in range(5):
        yield request + str(number).encode()


def client_stream(requests, context):
    return b"".join(requests)


def both(requests, context):
    for request in requests:
        yield request


def fail(request, context):
    context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no: 100% \u00fcber")


def slow(requests, context):
    context.add_callback(given_up.release)
    for _ in requests:
        pass
    while context.is_active():
        time.sleep(0.01)
        yield from ()


def gave_up(request, context):
    return b"yes" if given_up.acquire(timeout=10) else b"no"


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(16))
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
        "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
        "Both": grpc.stream_stream_rpc_method_handler(both),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "Slow": grpc.stream_stream_rpc_method_handler(slow),
        "GaveUp": grpc.unary_unary_rpc_method_handler(gave_up),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def code_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code(), error.details()
    raise AssertionError("it succeeded")


def call(address, ca=None):
    if ca:
        credentials = grpc.ssl_channel_credentials(open(ca, "rb").read())
        channel = grpc.secure_channel(address, credentials)
    else:
        channel = grpc.insecure_channel(address)
    path = f"/{SERVICE}/".__add__

    reply, done = channel.unary_unary(path("Unary")).with_call(
        b"hello ", metadata=(("x-sent", "world"),), timeout=10
    )
    assert reply == b"hello world", reply
    assert dict(done.initial_metadata())["x-initial"] == "i"
    trailing = dict(done.trailing_metadata())
    assert trailing["x-trailing"] == "t" and trailing["x-binary-bin"] == b"\x00\xff", trailing

    large = bytes(3_000_000)
    assert channel.unary_unary(path("Unary"))(large, timeout=20) == large

    replies = list(channel.unary_stream(path("ServerStream"))(b"n", timeout=10))
    assert replies == [b"n0", b"n1", b"n2", b"n3", b"n4"], replies

    parts = (str(number).encode() for number in range(100))
    reply = channel.stream_unary(path("ClientStream"))(parts, timeout=10)
    assert reply == b"".join(str(number).encode() for number in range(100))

    # Each message goes only once the one before has come back.
    turn = threading.Semaphore(1)

    def messages():
        for number in range(20):
            assert turn.acquire(timeout=10)
            yield str(number).encode()

    echoed = []
    for reply in channel.stream_stream(path("Both"))(messages(), timeout=20):
        echoed.append(reply)
        turn.release()
    assert echoed == [str(number).encode() for number in range(20)], echoed

    # Answers that are trailers and nothing else.
    code, details = code_of(lambda: channel.unary_unary(path("Fail"))(b"", timeout=10))
    assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, "no: 100% \u00fcber"), details
    code, _ = code_of(lambda: channel.unary_unary(path("Nothing"))(b"", timeout=10))
    assert code == grpc.StatusCode.UNIMPLEMENTED, code

    # The deadline is the server's as well, and whoever cancels is heard.
    code, _ = code_of(lambda: list(channel.stream_stream(path("Slow"))(iter([]), timeout=0.3)))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED, code
    assert channel.unary_unary(path("GaveUp"))(b"", timeout=20) == b"yes"
    running = channel.stream_stream(path("Slow"))(iter([]), timeout=30)
    time.sleep(0.2)
    running.cancel()
    assert channel.unary_unary(path("GaveUp"))(b"", timeout=20) == b"yes"

    calls = [channel.unary_unary(path("Unary")).future(b"x", timeout=20) for _ in range(300)]
    assert all(done.result() == b"x" for done in calls)
    print("all is well")


if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:])
