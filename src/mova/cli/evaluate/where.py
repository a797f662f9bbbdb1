"""What a report says of the run itself."""

from __future__ import annotations


def where_and_when() -> dict[str, object]:
    """Return what a report says of the run itself."""
    import shlex
    import sys
    from datetime import UTC, datetime

    from mova.bench.machine import describe_machine
    from mova.device import choose_device

    machine = describe_machine(choose_device())
    return {
        "command": shlex.join(["mova", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": machine.python, **machine.packages},
        "device": machine.gpu or machine.cpu,
    }
