"""An Evaluation: what an objective returns and an optimiser takes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The objective at a picture: unweighted terms, their total by equation 7, and its gradient [height, width, 3]."""

    terms: Mapping[str, float]
    total: float
    gradient: Floats
