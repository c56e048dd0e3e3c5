from __future__ import annotations

import numpy as np
import torch

from models.task_super_resolution import enlarge
from tests.models.examples import SMALL_SR, card, network, predictor, tissue


def test_what_training_judges_is_what_the_predictor_gives() -> None:
    of, image = card(SMALL_SR), tissue(30, 41)
    with torch.no_grad():
        judged = enlarge(network(of), image)
    assert judged.shape == (60, 82, 3)
    assert np.abs(judged.astype(int) - predictor(of)(image[None])[0].astype(int)).max() <= 1
