"""What calls of the API work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mova.generate.enhance.settings import EnhanceSettings
from mova.serve.access.content import ContentFilter
from mova.serve.access.gate import Gate
from mova.serve.access.quotas import Quotas
from mova.serve.api.metrics import Metrics
from mova.serve.api.replies import Replies
from mova.serve.artifacts import Artifacts
from mova.serve.intake.decoders import Decoders
from mova.serve.intake.intake import Intake
from mova.serve.intake.offer import Offer
from mova.serve.jobs.store import JobStore
from mova.serve.settings import ServeSettings


@dataclass(frozen=True)
class Services:
    """The parts of a server.

    Attributes:
        settings: of the server.
        offer: of its model.
        store: of jobs.
        artifacts: their files.
        decoders: children that decode uploads.
        intake: of requests.
        gate: that says who asks.
        quotas: of keys.
        content: filter of prompts.
        replies: what is said of jobs.
        metrics: what is counted.
        enhance: who enhances prompts.
        wake: tells workers that something waits.
    """

    settings: ServeSettings
    offer: Offer
    store: JobStore
    artifacts: Artifacts
    decoders: Decoders
    intake: Intake
    gate: Gate
    quotas: Quotas
    content: ContentFilter
    replies: Replies
    metrics: Metrics
    enhance: EnhanceSettings
    wake: Callable[[], None]
