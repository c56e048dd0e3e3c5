"""docs/pictures/trace.png: what a run on a real slide does, and when. Run by `make pictures`.

    python docs/make_trace_picture.py [TRACE [OUT]]

TRACE is what `histoloom run --profile` wrote; without one the sample slide (slides/, as `make demo` fetches it) is run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from docs.make_report_pictures import PICTURES, small

SLIDE = Path(__file__).parents[1] / "slides" / "CMU-1-Small-Region.svs"
COLOURS = {"device": "#3b82f6", "reading": "#f59e0b", "writing": "#10b981"}
REST, DRIVER = "#9ca3af", "#e5e7eb"
_NAMED_FROM = 0.03
"""A stage that takes a larger share of the run is named."""


def main(trace: Path | None, out: Path) -> None:
    """Draw a trace, or that of a run of the sample slide."""
    if trace is None:
        with tempfile.TemporaryDirectory() as folder:
            trace = Path(folder) / "trace.json"
            program = [sys.executable, "-c", "from flows.cli import main; main()", "run", str(SLIDE)]
            subprocess.run([*program, "--out", f"{folder}/results", "--profile", str(trace)], check=True)
            events = json.loads(trace.read_text(encoding="utf-8"))
    else:
        events = json.loads(trace.read_text(encoding="utf-8"))
    figure = Figure(figsize=(13, 3.2), dpi=120, layout="constrained")
    draw(figure.subplots(), events)
    whole = out / "trace.whole.png"
    figure.savefig(whole)
    (out / "trace.png").write_bytes(small(whole.read_bytes()))
    whole.unlink()


def draw(axes: Axes, events: list[dict[str, Any]]) -> None:
    """A row for the stages, and one for each thread that did batches."""
    (slide,) = (event for event in events if event["cat"] == "slide")
    end_s = (slide["ts"] + slide["dur"]) / 1e6
    threads = sorted({event["tid"] for event in events if event["cat"] == "batch"})
    rows = {thread: number for number, thread in enumerate(threads)}
    for event in events:
        span = [(event["ts"] / 1e6, event["dur"] / 1e6)]
        if event["cat"] == "stage":
            axes.broken_barh(span, (len(rows) - 0.4, 0.8), facecolor=DRIVER, edgecolor="white")
            if span[0][1] > _NAMED_FROM * end_s:
                axes.text(sum(span[0]) - span[0][1] / 2, len(rows), event["name"], ha="center", va="center")
        elif event["cat"] == "batch":
            axes.broken_barh(span, (rows[event["tid"]] - 0.4, 0.8), facecolor=REST, edgecolor="white", linewidth=0.4)
    for event in events:  # over the batches
        if event["name"] in COLOURS and event["tid"] in rows:
            span = [(event["ts"] / 1e6, event["dur"] / 1e6)]
            axes.broken_barh(span, (rows[event["tid"]] - 0.4, 0.8), facecolor=COLOURS[event["name"]])
    axes.set_yticks([*rows.values(), len(rows)], [*(f"thread {row + 1}" for row in rows.values()), "stage"])
    axes.set_xlim(0, end_s)
    axes.set_xlabel("seconds since the slide was begun; what is white is done by the driving thread, or by nobody")
    meanings = {"network": COLOURS["device"], "reading": COLOURS["reading"], "writing": COLOURS["writing"]}
    handles = [Patch(color=colour, label=name) for name, colour in {**meanings, "other work of a batch": REST}.items()]
    axes.legend(handles=handles, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:3]]
    main(given[0] if given else None, given[1] if len(given) > 1 else PICTURES)
