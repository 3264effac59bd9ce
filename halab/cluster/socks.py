"""Connections through a SOCKS5 proxy (RFC 1928) at a Unix socket: a tunnel to another host, opened by `ssh -D`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable

import httpcore

from halab.errors import TunnelLost

_NO_AUTHENTICATION = b"\x05\x01\x00"
_CONNECT_TO_A_NAME = b"\x05\x01\x00\x03"
# OpenSSH answers with an IPv4 address, before it knows whether the target accepts. A refusal ends the connection early.
_REPLY_BYTES = 10


async def connect(proxy: str, host: str, port: int) -> socket.socket:
    """Connect to a host. Raises TunnelLost if the proxy itself does not answer, OSError if it refuses."""
    loop = asyncio.get_running_loop()
    connection = socket.socket(socket.AF_UNIX)
    connection.setblocking(False)
    try:
        try:
            await loop.sock_connect(connection, proxy)
        except OSError as error:
            raise TunnelLost(f"the tunnel at {proxy} is closed") from error
        await loop.sock_sendall(connection, _NO_AUTHENTICATION)
        await _read(connection, 2)
        await loop.sock_sendall(connection, _target(host, port))
        reply = await _read(connection, _REPLY_BYTES)
        if reply[1] != 0:
            raise ConnectionRefusedError(f"refused by the proxy with code {reply[1]}")
    except BaseException:
        connection.close()
        raise
    return connection


async def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await asyncio.get_running_loop().sock_recv(connection, count - len(data))
        if not more:
            raise ConnectionResetError("disconnected")
        data += more
    return data


class Backend(httpcore.SyncBackend):
    """The same for a synchronous client. Its time limit applies to every answer of the proxy."""

    def __init__(self, proxy: str) -> None:
        self._proxy = proxy

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self.connect_unix_socket(self._proxy, timeout, socket_options)
        try:
            stream.write(_NO_AUTHENTICATION, timeout)
            receive(stream, 2, timeout)
            stream.write(_target(host, port), timeout)
            if receive(stream, _REPLY_BYTES, timeout)[1] != 0:
                raise httpcore.ConnectError("refused by the proxy")
        except httpcore.ReadTimeout as error:
            stream.close()
            raise httpcore.ConnectTimeout(str(error)) from error
        except BaseException:
            stream.close()
            raise
        return stream


def backend(proxy: str | None) -> httpcore.SyncBackend:
    """Connects a synchronous client through the proxy; directly if there is none."""
    return Backend(proxy) if proxy else httpcore.SyncBackend()


def receive(stream: httpcore.NetworkStream, count: int, timeout: float | None) -> bytes:
    """Read this many bytes. Raises ConnectError if the connection ends before."""
    data = b""
    while len(data) < count:
        more = stream.read(count - len(data), timeout)
        if not more:
            raise httpcore.ConnectError("disconnected")
        data += more
    return data


def _target(host: str, port: int) -> bytes:
    name = host.encode()
    return _CONNECT_TO_A_NAME + bytes([len(name)]) + name + port.to_bytes(2, "big")
