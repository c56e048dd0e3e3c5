"""Measures the engines of this machine with one classifier: `python -m flows.engine_trial BUNDLE PRECISION`.

Prints a line an engine, its name and its seconds a patch on one core, torch's first.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

from models.device import choose_precision
from models.engine import ENGINES, is_installed
from models.predict import load_predictor

_PASSES = 6


def main(bundle: str, precision: str) -> None:
    """Time each installed engine; one that cannot compute the network ends it."""
    torch.set_num_threads(1)
    for engine in ENGINES:
        if not is_installed(engine):
            continue
        predict = load_predictor(bundle, "cpu", choose_precision(precision, "cpu"), engine=engine)
        side, count = predict.card.field_px or 0, predict.at_once
        patches = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
        took = []
        for _ in range(_PASSES):  # the first one warms up
            start = time.process_time()  # on one core: what else the machine does counts less than in wall time
            predict(patches)
            took.append(time.process_time() - start)
        print(engine, min(took) / count, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
