"""Runs a module as a program that dies when it reaches for the network: python no_sockets.py MODULE ARGUMENT…"""

from __future__ import annotations

import os
import runpy
import sys

FORBIDDEN = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
STATUS = 97


def refuse(event: str, arguments: tuple) -> None:
    if event in FORBIDDEN:
        os.write(2, f"reached for the network: {event} {arguments}\n".encode())
        os._exit(STATUS)


if __name__ == "__main__":
    sys.addaudithook(refuse)
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
