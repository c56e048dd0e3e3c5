"""An inbox whose slides are handed to a Prefect deployment: a run a slide, wherever a worker is free.

A run is known by a key made of the slide's contents and the number of the try. The server keeps one run a key, so
handing over twice, as after a crash, starts nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterIdempotencyKey
from prefect.client.schemas.objects import State, StateType
from prefect.deployments import run_deployment

from flows.inbox import Fate, Order, Outcome
from flows.watching import written_outcome


@dataclass(frozen=True, slots=True)
class Deployed:
    """Hands slides to a deployment of the flow `slide`."""

    out: Path
    deployment: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Of every run, beside `slide`, `name` and `out`."""
    at_once: ClassVar[int | None] = None

    def hand(self, order: Order) -> None:
        """See `Hands`."""
        run_deployment(
            self.deployment,
            parameters={
                **self.parameters,
                "slide": order.source,
                "name": order.name,
                "out": str(self.out),
                "pages": False,  # whoever hands slides over writes them
            },
            flow_run_name=order.name,
            idempotency_key=self.key(order),
            timeout=0,
            as_subflow=False,
        )

    def outcome(self, order: Order) -> Outcome:
        """See `Hands`; whole results count, whatever became of the run that made them."""
        written = written_outcome(self.out, order.name)
        if written is not None and written.fate is Fate.DONE:
            return written
        key = FlowRunFilterIdempotencyKey(any_=[self.key(order)])
        with get_client(sync_client=True) as client:
            runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(idempotency_key=key))
        return _outcome(runs[0].state, written) if runs else Outcome(Fate.UNHEARD)

    def key(self, order: Order) -> str:
        """One for each slide, results folder, entry in its book, and try."""
        where = hashlib.sha256(str(self.out.resolve()).encode()).hexdigest()[:12]
        return "-".join(
            ["histoloom", where, order.identity, *([order.token] if order.token else []), str(order.attempt)]
        )


def _outcome(state: State[Any] | None, written: Outcome | None) -> Outcome:
    if state is None or not state.is_final():
        return Outcome(Fate.RUNNING)
    said = state.message or state.name or ""
    if state.type is StateType.COMPLETED:  # or else its results would have been found
        return Outcome(Fate.LOST, "its run completed, but its results are not there")
    if state.type is StateType.CRASHED:
        return Outcome(Fate.LOST, said)
    if state.type is StateType.CANCELLED:
        return Outcome(Fate.FAILED, f"its run was cancelled: {said}")
    return written or Outcome(Fate.FAILED, said)
