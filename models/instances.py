"""From class probabilities to instances, as users get them: `pipeline.nuclei_instances`, callable and for a card.

What a training or an evaluation measures is what a run does with the same network. The module needs numpy, scipy and
numba alone, so that a machine that only trains has it, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import EvaluationError
from pipeline.nuclei_instances import NotProbabilities, NucleiParameters, segment


@dataclass(frozen=True, slots=True)
class InstanceStep(NucleiParameters):
    """From class probabilities (y, x, {background, interior, contour}) to instances; a callable value."""

    def as_dict(self) -> Mapping[str, Any]:
        """Return the parameters, for a bundle's card."""
        return asdict(self)

    def __call__(self, probabilities: NDArray[np.float32]) -> NDArray[np.int32]:
        """Return labels (y, x), 0 between instances, of probabilities (y, x, 3).

        Raises
        ------
        EvaluationError
            if a probability is no number.
        """
        try:
            return segment(probabilities, self)
        except NotProbabilities as error:
            raise EvaluationError(error.what, error.cure) from error
