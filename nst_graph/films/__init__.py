"""Films: a clip's frames, what moves between them, and a film painted frame by frame."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nst_graph import places
from nst_graph.errors import InputError
from nst_graph.settings import HOW, WEIGHT, Bounds, Options, at_least, option

#: The difference everywhere, in grey levels, at which the temporal loss is `steadiness` times the first frame's loss.
UNIT = 10
#: How far back a frame may lie that another is held to; all from there on are kept in memory.
FURTHEST = 32
BACK = Bounds(
    lambda back: 1 <= back <= FURTHEST,
    f"give whole numbers from 1 to {FURTHEST}, 1 first, each larger than the last",
    lambda several: list(several) == sorted({1, *several}),
)
#: The group of these options in --help.
GROUP = "the film"
FILM = partial(option, GROUP)


@dataclass(frozen=True, repr=False)
class Film(Options):
    """How the frames of a film hang together. `back` is Ruder, Dosovitskiy and Brox's J, the nearest first.

    The first frame of a shot has the iterations of the settings. Raises InputError where a value cannot be used.
    """

    iterations: int = HOW(100, "limit of iterations of each frame but a shot's first", at_least(0))
    steadiness: float = FILM(0.3, "weight of the temporal loss", WEIGHT, "WEIGHT")
    back: tuple[int, ...] = FILM((1,), "how far back the frames lie that one is held to, such as 1 2 4", BACK)
    alone: bool = FILM(False, "paint each frame by itself, as each shot's first")

    def weight(self, total: float) -> float:
        """The factor of the temporal loss in a shot whose first frame ended with this loss."""
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
