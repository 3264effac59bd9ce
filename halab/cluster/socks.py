"""Connections by way of a SOCKS5 proxy on loopback (RFC 1928): a tunnel to another host, of `ssh -D`."""

from __future__ import annotations

import asyncio
import socket

from halab.errors import TunnelLost

_LOOPBACK = "127.0.0.1"
_NO_AUTHENTICATION = b"\x05\x01\x00"
_CONNECT_TO_A_NAME = b"\x05\x01\x00\x03"
# OpenSSH answers with an IPv4 address, and before it knows whether anybody is there: a refusal is an early end.
_REPLY_BYTES = 10


async def connect(proxy: int, host: str, port: int) -> socket.socket:
    """A connection to `host`. TunnelLost where the proxy itself does not answer, OSError where it refuses."""
    loop = asyncio.get_running_loop()
    made = socket.socket()
    made.setblocking(False)
    try:
        try:
            await loop.sock_connect(made, (_LOOPBACK, proxy))
        except OSError as error:
            raise TunnelLost(f"the tunnel on port {proxy} has gone") from error
        await loop.sock_sendall(made, _NO_AUTHENTICATION)
        await _read(made, 2)
        name = host.encode()
        await loop.sock_sendall(
            made, _CONNECT_TO_A_NAME + bytes([len(name)]) + name + port.to_bytes(2, "big")
        )
        reply = await _read(made, _REPLY_BYTES)
        if reply[1] != 0:
            raise ConnectionRefusedError(f"refused by the proxy: {reply[1]}")
    except BaseException:
        made.close()
        raise
    return made


async def _read(made: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await asyncio.get_running_loop().sock_recv(made, count - len(data))
        if not more:
            raise ConnectionResetError("disconnected")
        data += more
    return data
