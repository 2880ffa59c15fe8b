"""An Evaluation: what an objective returns and an optimiser takes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Evaluation:
    """The objective's value at a picture.

    `terms` are unweighted, `total` is equation 7, `gradient` [height, width, 3] is that of the total.
    """

    terms: Mapping[str, float]
    total: float
    gradient: Floats
