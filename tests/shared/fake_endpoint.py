"""A server on the loopback that answers as a scripted model does, and fails in every way that real ones do."""

import asyncio
import base64
import contextlib
import email.utils
import json
import random
import threading
import time

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from mova.endpoints.retry import Timing

KEY = "sk-very-secret-0123456789"
KEY_ENV = "FAKE_ENDPOINT_KEY"
NOW = 1_800_000_000.0


class Fake:
    """What is answered, and what was asked.

    Attributes:
        script: an answer for each request, in order, the last one again and again; each is a function of the body.
        requests: (path, body, headers) of every request.
        at_once: most requests that were under way at a time.
        base_url: of the endpoint.
    """

    def __init__(self):
        self.reset()

    def reset(self, *script):
        self.script, self.requests, self.at_once, self.now = list(script), [], 0, 0

    async def answer(self, request):
        body = await request.body()
        is_json = request.headers.get("content-type", "").startswith("application/json")
        asked = json.loads(body) if is_json else body
        self.requests.append((request.url.path, asked, dict(request.headers)))
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        self.now += 1
        self.at_once = max(self.at_once, self.now)
        try:
            answer = step(asked)
            return await answer if asyncio.iscoroutine(answer) else answer
        finally:
            self.now -= 1


def says(text, finish="stop", *, tokens=(100, 20), refusal=None, seconds=0.0, **more):
    """A chat completion."""
    message = {"role": "assistant", "content": text, "refusal": refusal}
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "fake-model",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": usage,
    }

    async def step(_):
        await asyncio.sleep(seconds)
        return JSONResponse(body | more, headers={"x-request-id": "req-7"})

    return step


def tells(value, **more):
    """A chat completion whose text is JSON."""
    return says(json.dumps(value, ensure_ascii=False), **more)


def status(code, message="no", headers=None, error_code=None):
    """An error as OpenAI writes it."""
    body = {"error": {"message": message, "type": "error", "code": error_code}}
    return lambda _: JSONResponse(body, status_code=code, headers=headers)


def retry_date(seconds):
    """A header Retry-After in its form as a date."""
    return {"Retry-After": email.utils.formatdate(NOW + seconds, usegmt=True)}


def sends(content, media_type="application/json", headers=None):
    """Any body."""
    return lambda _: Response(content, media_type=media_type, headers=headers)


def hangs(seconds=30.0):
    """Nothing, for a long time."""

    async def step(_):
        await asyncio.sleep(seconds)
        return Response(b"{}")

    return step


def drips(piece=b" ", every_s=0.02, media_type="application/json"):
    """A body that never ends, a byte at a time."""

    async def body():
        while True:
            yield piece
            await asyncio.sleep(every_s)

    return lambda _: StreamingResponse(body(), media_type=media_type)


def floods(code=200, piece=b" " * 65536, pieces=100_000):
    """A body of gigabytes, as fast as it goes."""

    async def body():
        for _ in range(pieces):
            yield piece

    return lambda _: StreamingResponse(body(), status_code=code, media_type="application/json")


class Cut(Response):
    """Says that more is coming, and closes."""

    async def __call__(self, scope, receive, send):  # noqa: ARG002
        headers = [(b"content-type", b"application/json"), (b"content-length", b"5000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"choices": [', "more_body": True})


def cut(_):
    """Half a body."""
    return Cut()


def streams(*pieces, finish="stop", done=True, tokens=(50, 5)):
    """A completion in pieces, as server-sent events."""

    def event(delta, finish_reason=None, **more):
        choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
        body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "fake-model", "choices": choices}
        return f"data: {json.dumps(body | more)}\n\n".encode()

    async def body():
        for piece in pieces:
            yield event({"content": piece})
        if finish is not None:
            yield event({}, finish)
            usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
            yield event({}, None, usage=usage, choices=[])
        if done:
            yield b"data: [DONE]\n\n"

    return lambda _: StreamingResponse(body(), media_type="text/event-stream")


def draws(content, **more):
    """An image."""
    data = [{"b64_json": base64.b64encode(content).decode()} | more]
    return lambda _: JSONResponse({"created": 1, "data": data})


@contextlib.contextmanager
def serve_fake():
    """Serve until the end of the block; gives the fake."""
    fake, app = Fake(), FastAPI()

    @app.post("/{path:path}")
    async def post(request: Request):
        return await fake.answer(request)

    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        fake.base_url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
        yield fake
    finally:
        server.should_exit = server.force_exit = True
        thread.join(20)


class TurnedClock:
    """Time that passes by sleeping only.

    Attributes:
        slept: seconds of each wait.
    """

    def __init__(self):
        self.slept, self.passed = [], 0.0

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.passed += seconds

    def timing(self):
        return Timing(self.sleep, lambda: self.passed, lambda: NOW, random.Random(0))
