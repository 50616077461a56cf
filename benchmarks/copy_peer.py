"""The other end of a plain copy: ``python -m benchmarks.copy_peer FILE PORT [CERTIFICATE]``.

Sends the file to whoever connects, as fast as a blocking ``read`` and ``sendall`` can, through TLS if there is a
certificate (its key in the same file).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys

_BLOCK_BYTES = 256 * 1024


def main(words: list[str]) -> None:
    """Serve one connection after the other, until killed."""
    path, port, *certificate = words
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate[0])
    with socket.create_server(("127.0.0.1", int(port))) as listener:
        while True:
            sock, _ = listener.accept()
            with context.wrap_socket(sock, server_side=True) if context else sock as stream, open(path, "rb") as file:
                while data := file.read(_BLOCK_BYTES):
                    stream.sendall(data)
                _part(stream)


def _part(stream: socket.socket) -> None:
    """End so that the other side knows it for an end."""
    with contextlib.suppress(OSError):  # it knows, and does not stay to say so
        if isinstance(stream, ssl.SSLSocket):
            stream = stream.unwrap()
        stream.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main(sys.argv[1:])
