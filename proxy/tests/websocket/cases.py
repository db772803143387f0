"""A full WebSocket client and server (the `websockets` library) with the proxy between them.

usage: cases.py serve            prints its port, serves until its input ends
       cases.py talk HOST PORT   prints what each case came to, as JSON

What comes out must not depend on whether HOST:PORT is the server itself or the proxy before it. The
cases follow the sections of the Autobahn suite: framing, pings, reserved bits, opcodes,
fragmentation, UTF-8, closing, limits, compression.
"""

import asyncio
import base64
import http
import json
import os
import random
import struct
import sys

import websockets


async def serve():
    async def echo(socket, path=None):
        path = path or socket.path
        if path == "/close":
            await socket.close(4321, "as you wish")
            return
        if path == "/burst":
            for number in range(500):
                await socket.send(f"{number}:" + "x" * (number * 7 % 300))
            return
        if path == "/drop":
            await socket.recv()
            socket.transport.abort()
            return
        async for message in socket:
            await socket.send(message)

    async def refuse(path, headers):
        if path == "/refused":
            return http.HTTPStatus.FORBIDDEN, [("X-Why", "because")], b"no\n"
        return None

    server = await websockets.serve(
        echo,
        "127.0.0.1",
        0,
        max_size=1 << 25,
        subprotocols=["one", "two"],
        process_request=refuse,
        close_timeout=30,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


def cases():
    """Names, and coroutines that take a host and a port and return what happened."""
    for compression in (None, "deflate"):
        for size in (0, 1, 125, 126, 127, 128, 4095, 65535, 65536, 65537, 1 << 20, 1 << 24):
            for kind in ("text", "binary"):
                yield f"echo {kind} {size} {compression}", echo(kind, size, compression)
        for pieces in ([1], [1, 1], [0, 0, 0], [125, 126], [1] * 100, [70000, 1, 70000]):
            yield f"fragments {len(pieces)} {sum(pieces)} {compression}", fragments(pieces, compression)
        yield f"many {compression}", many(compression)
        yield f"burst {compression}", burst(compression)
    for size in (0, 1, 64, 125):
        yield f"ping {size}", ping(size)
    yield "subprotocol", subprotocol(["two"])
    yield "subprotocols", subprotocol(["zero", "one", "two"])
    yield "no subprotocol", subprotocol(["zero"])
    for code in (1000, 1001, 1003, 1007, 1011, 3000, 3999, 4000, 4999):
        for reason in ("", "why", "é" * 61):
            yield f"close {code} {len(reason)}", close(code, reason)
    yield "the server closes", server_closes()
    yield "the server drops", server_drops()
    yield "refused", refused()
    for name, frames in raw_frames():
        yield f"raw {name}", raw(frames)


def connect(host, port, path="/", **more):
    more.setdefault("compression", None)
    return websockets.connect(f"ws://{host}:{port}{path}", max_size=1 << 25, close_timeout=30, **more)


def payload(kind, size):
    letters = random.Random(size)
    data = bytes(letters.choices(b"abcdefghij klmnop\n", k=size))
    return data.decode() if kind == "text" else data


def echo(kind, size, compression):
    async def case(host, port):
        sent = payload(kind, size)
        async with connect(host, port, compression=compression) as socket:
            await socket.send(sent)
            return await socket.recv() == sent, [type(e).__name__ for e in socket.extensions]

    return case


def fragments(pieces, compression):
    async def case(host, port):
        sent = [payload("text", size) for size in pieces]
        async with connect(host, port, compression=compression) as socket:
            await socket.send(sent)
            return await socket.recv() == "".join(sent)

    return case


def many(compression):
    async def case(host, port):
        async with connect(host, port, compression=compression) as socket:
            sent = [f"{number}" * (number % 50) for number in range(500)]

            async def send():
                for message in sent:
                    await socket.send(message)

            sending = asyncio.ensure_future(send())
            back = [await socket.recv() for _ in sent]
            await sending
            return back == sent

    return case


def burst(compression):
    async def case(host, port):
        async with connect(host, port, "/burst", compression=compression) as socket:
            return [len(message) async for message in socket], socket.close_code

    return case


def ping(size):
    async def case(host, port):
        async with connect(host, port) as socket:
            await socket.pong(b"unasked")
            waiter = await socket.ping(bytes(range(size)))
            await asyncio.wait_for(waiter, 5)
            await socket.send("after")
            return await socket.recv()

    return case


def subprotocol(offered):
    async def case(host, port):
        async with connect(host, port, subprotocols=offered) as socket:
            return socket.subprotocol

    return case


def close(code, reason):
    async def case(host, port):
        socket = await connect(host, port)
        await socket.send("last")
        await socket.recv()
        await socket.close(code, reason)
        return socket.close_code, socket.close_reason

    return case


def server_closes():
    async def case(host, port):
        async with connect(host, port, "/close") as socket:
            await socket.wait_closed()
            return socket.close_code, socket.close_reason

    return case


def server_drops():
    async def case(host, port):
        socket = await connect(host, port, "/drop")
        await socket.send("drop me")
        await asyncio.wait_for(socket.wait_closed(), 5)
        return socket.close_code

    return case


def refused():
    async def case(host, port):
        try:
            async with connect(host, port, "/refused"):
                return "let in"
        except websockets.InvalidStatusCode as error:
            return error.status_code, error.headers.get("X-Why")

    return case


def frame(opcode, data=b"", fin=True, rsv=0, mask=True, length=None):
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    size = len(data) if length is None else length
    masked = 0x80 if mask else 0
    if size < 126:
        head = struct.pack("!BB", first, masked | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, masked | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked | 127, size)
    if not mask:
        return head + data
    key = b"\x01\x02\x03\x04"
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(data))


def raw_frames():
    """What no client library sends: the server's complaint must come through unchanged."""
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield f"reserved opcode {opcode}", [frame(opcode)]
    for rsv in range(1, 8):
        yield f"reserved bits {rsv}", [frame(1, b"a", rsv=rsv)]
    yield "no mask", [frame(1, b"a", mask=False)]
    yield "long ping", [frame(9, b"a" * 126)]
    yield "ping in pieces", [frame(9, b"a", fin=False)]
    yield "close in pieces", [frame(8, b"\x03\xe8", fin=False)]
    yield "continuation of nothing", [frame(0, b"a")]
    yield "text within text", [frame(1, b"a", fin=False), frame(1, b"b")]
    yield "ping within text", [frame(1, b"a", fin=False), frame(9, b"p"), frame(0, b"b")]
    yield "two pings at once", [frame(9, b"1") + frame(9, b"2")]
    yield "everything at once", [frame(1, b"a") + frame(2, b"b") + frame(1, b"")]
    yield "byte by byte", [bytes([b]) for b in frame(1, b"slow")]
    for name, data in (
        ("half a character", b"\xc3"),
        ("overlong", b"\xc0\xaf"),
        ("surrogate", b"\xed\xa0\x80"),
        ("past the end", b"\xf4\x90\x80\x80"),
        ("latin 1", b"\xe9"),
    ):
        yield f"text of {name}", [frame(1, data)]
    yield "a character in two pieces", [frame(1, b"\xc3", fin=False), frame(0, b"\xa9")]
    yield "close without a code", [frame(8)]
    yield "close with half a code", [frame(8, b"\x03")]
    yield "close with a bad reason", [frame(8, b"\x03\xe8\xff")]
    yield "close twice", [frame(8, b"\x03\xe8") + frame(8, b"\x03\xe8")]
    yield "text after close", [frame(8, b"\x03\xe8") + frame(1, b"late")]
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2999, 5000, 65535):
        yield f"close {code}", [frame(8, struct.pack("!H", code))]
    yield "a length too long", [frame(2, b"", length=1 << 40)]
    yield "a length past 63 bits", [frame(2, b"", length=1 << 63)]
    yield "no frame at all", [b"\x00" * 40]


def raw(frames):
    async def case(host, port):
        reader, writer = await asyncio.open_connection(host, port)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        for piece in frames:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002)
        back = await read(reader, 1)
        # What is closed already does not hear it.
        writer.write(frame(8))
        back += await read(reader, 10)
        writer.close()
        return head.split(b"\r\n")[0].decode(), back.hex()

    return case


async def read(reader, patience):
    back = b""
    try:
        while piece := await asyncio.wait_for(reader.read(1 << 16), patience):
            back += piece
    except asyncio.TimeoutError:
        pass
    except ConnectionError:
        back += b"reset"
    return back


async def talk(host, port):
    found = {}
    at_once = asyncio.Semaphore(16)

    async def run(name, case):
        async with at_once:
            try:
                found[name] = await asyncio.wait_for(case(host, port), 60)
            except Exception as error:
                found[name] = f"{type(error).__name__}: {error}"

    await asyncio.gather(*(run(name, case) for name, case in cases()))
    print(json.dumps(found))


if sys.argv[1] == "serve":
    asyncio.run(serve())
else:
    asyncio.run(talk(sys.argv[2], int(sys.argv[3])))
