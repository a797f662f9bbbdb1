"""One request over the wire: what is imported, how much is read."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import mova
from fake_endpoint import floods, says, serve_fake
from mova.endpoints.outcomes import Fault, Outcome
from mova.endpoints.settings import EndpointSection
from mova.endpoints.wire import Wire
from mova.errors import MissingExtraError
from peak_memory import peak_bytes

ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def test_the_library_is_imported_in_one_place_and_late():
    package = Path(mova.__file__).parent
    found = [path.name for path in package.rglob("*.py") if "import openai" in path.read_text()]
    assert found == ["wire.py"]
    code = "import mova.endpoints.client, sys; assert not {'openai', 'httpx2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"mova\[endpoints\]"):
        Wire(EndpointSection(base_url="http://127.0.0.1:9/v1", model="m"))


def test_a_body_of_gigabytes_takes_no_memory():
    with serve_fake() as fake:
        fake.reset(floods())

        async def main():
            wire = Wire(EndpointSection(base_url=fake.base_url, model="m"), most_bytes=100_000)
            before = peak_bytes()
            fault = await wire.chat(ASKED, 60, stream=False)
            grown = peak_bytes() - before
            fake.reset(says("small"))
            reply = await wire.chat(ASKED, 60, stream=False)
            await wire.close()
            return fault, grown, reply

        fault, grown, reply = asyncio.run(main())
    assert isinstance(fault, Fault)
    assert fault.outcome is Outcome.TRANSPORT
    assert not fault.again
    assert "100000 bytes" in fault.detail
    assert grown < 100_000_000
    assert reply.text == "small"
