"""A socket to listen on, or a sentence that says why there is none."""

import socket

from django.core.management.base import CommandError


def listen(host: str, port: int) -> socket.socket:
    """A listening socket at this address. Raises CommandError with the remedy."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CommandError(
            f"Port {port} on {host} cannot be used: {error.strerror}. Choose another with --port."
        ) from None
    listener.listen(1024)
    return listener
