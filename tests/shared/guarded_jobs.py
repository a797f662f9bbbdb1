"""What a guarded child is asked to do by tests: importable there by name."""

import os
import time

from mova.errors import ReadError


def double(value):
    return 2 * value


def process_id():
    return os.getpid()


def refuse():
    raise ReadError("a file must be whole, got half of one")


def hang():
    time.sleep(600)


def crash():
    os.abort()


def leave(code):
    os._exit(code)


def eat_slowly(size_bytes):
    held = []
    while True:
        held.append(b"x" * (8 << 20))
        if len(held) * (8 << 20) > size_bytes:
            time.sleep(600)


def eat_at_once(size_bytes):
    return len(bytearray(size_bytes))


def shout():
    print("not an answer")  # noqa: T201
    os.write(1, b"\0" * 100)
    return "quiet"


def large(size_bytes):
    return b"y" * size_bytes
