from __future__ import annotations

import numpy as np
import pytest
import torch

from models.task_classification import classify, fit_temperature
from tests.models.examples import SMALL_HYBRID, card, network, tissue


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_fitted_temperature_undoes_overconfidence(temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 3)).astype(np.float32)
    chances = torch.from_numpy(logits).softmax(1).numpy()
    labels = (rng.random((len(logits), 1)) > chances.cumsum(1)).sum(1).clip(max=2)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.05)


def test_patches_are_classified_alike_in_any_company() -> None:
    of = card(SMALL_HYBRID)
    patches = np.stack([tissue(50, 50), tissue(100, 100)[50:, 50:], tissue(50, 100)[:, 50:]])
    with torch.no_grad():
        together, alone = (classify(network(of), patches, of.normalisation, at_once=count) for count in (3, 1))
    assert np.allclose(together, alone, atol=1e-5)
    assert together.shape == (3, 2)
