"""Films: a clip's frames, what moves between them, and a film painted frame by frame."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst_graph import places
from nst_graph.errors import InputError
from nst_graph.settings import LARGEST

#: The difference that Film.steadiness speaks of, in grey levels.
UNIT = 10
#: How far back a frame may lie that another is held to; all from there on are kept in memory.
FURTHEST = 32


@dataclass(frozen=True)
class Film:
    """How the frames of a film hang together. Raises InputError, naming the option, where a value cannot be used."""

    #: Iterations of each frame but the first of a shot, which has those of the settings.
    iterations: int = 100
    #: The steadiness term of a difference of ten grey levels everywhere, in units of the loss that the first frame
    #: of the shot ended with; with 0 a frame only starts from the one before.
    steadiness: float = 0.3
    #: How many frames back those lie that a frame is held to: Ruder, Dosovitskiy and Brox's J, the nearest first.
    back: Sequence[int] = (1,)
    #: Paint each frame as if it were the first.
    alone: bool = False

    def __post_init__(self) -> None:
        if self.iterations < 0:
            raise InputError(f"--iterations {self.iterations}: give a whole number of 0 or more")
        if not 0 <= self.steadiness <= LARGEST:
            raise InputError(f"--steadiness {self.steadiness}: give a number from 0 to 1e30")
        if list(self.back) != sorted({1, *self.back}) or self.back[-1] > FURTHEST:
            named = " ".join(map(str, self.back))
            remedy = f"give whole numbers from 1 to {FURTHEST}, 1 first, each larger than the last"
            raise InputError(f"--back {named}: {remedy}")

    def weight(self, total: float) -> float:
        """The weight of the steadiness term in a shot whose first frame ended with this loss."""
        return self.steadiness * total / UNIT**2


def check_packages() -> None:
    """Raise InputError if a package that films need is missing."""
    for module, package in (("cv2", "opencv-python-headless"), ("av", "av")):
        if importlib.util.find_spec(module) is None:
            raise InputError(f"films need {package}: pip install 'nst_graph[video]'")


def check_record(path: Path, record: dict[str, Any]) -> None:
    """Raise InputError if the record of a run is not a film's."""
    if not isinstance(record.get("film"), dict):
        raise InputError(f"{path}: holds a painting, not a film; go on with it by {places.command('paint')} --resume")
