"""Calls of a client to the fake endpoint, for tests of endpoints alone and together with what keeps and counts them."""

import asyncio

from pydantic import BaseModel

from mova.endpoints.client import Client, Shared
from mova.endpoints.messages import user
from mova.endpoints.settings import EndpointSection


class Report(BaseModel):
    title: str
    events: list[str] | None


def section(fake, **more):
    return EndpointSection(base_url=fake.base_url, model="asked", timeout_s=20, **more)


def call(fake, clock, act=None, *, shared=None, **more):
    """The result of one act of a client, by default of a chat."""

    async def main():
        async with Client(section(fake, **more), shared or Shared(timing=clock.timing())) as client:
            return await (act or (lambda client: client.chat([user("hi")])))(client)

    return asyncio.run(main())


def ask(fake, clock, **more):
    return call(fake, clock, lambda client: client.ask([user("report")], Report, "it"), **more)
