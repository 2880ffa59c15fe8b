"""Jobs: paintings to be made."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from nst_graph import files
from nst_graph.errors import InputError
from nst_graph.runs import records
from nst_graph.settings import Settings

#: What to do about a directory that has something else.
ANOTHER = "name another directory, or remove it"
#: The layers that need not be looked for in a file of weights.
IN_EVERY_VGG = re.compile("conv[1-5]_[12]|conv[3-5]_3|pool[1-4]")


@dataclass(frozen=True)
class Job:
    """A painting to be made: its pictures, its settings, and the directory of its run."""

    content: Path
    styles: tuple[Path, ...]
    settings: Settings
    output: Path
    masks: tuple[Path, ...] = ()
    style_masks: tuple[Path, ...] = ()
    weights: Path | None = None
    #: Memory that reading a file may take, in GB.
    read_limit: float = files.READ_LIMIT
    #: A copy of the result beside `output`.
    picture: Path | None = None

    def finished(self) -> bool:
        """Whether it is finished. Raises InputError if the directory has a run of other settings or pictures."""
        if not (self.output / "run.json").exists():
            return False
        record = records.read(self.output)
        if records.settings(record, self.output) != self.settings:
            raise InputError(f"{self.output}: holds a run with other settings; {ANOTHER}")
        if record.get("outcome", {}).get("state") != "finished":
            return False
        paths_of = {"content": (self.content,)} | {name: getattr(self, name) for name in records.SEVERAL}
        paths_of |= {name: (Path(file),) for name, file in self.settings.paths.items()}
        for name, paths in paths_of.items():
            if all(path.exists() for path in paths) and not records.are_of(record, name, paths):
                shown = " ".join(map(str, paths))
                raise InputError(f"{self.output}: holds a painting of other pictures than {shown}; {ANOTHER}")
        return True


def prepare(job: Job, say: Callable[[str], None]) -> Job:
    """The job with its weights. Raises InputError for what can be told before TensorFlow, which takes seconds."""
    from nst_graph import weights  # imports NumPy

    weights_file = job.weights or weights.find(job.settings.network, say)
    several = *job.styles, *job.masks, *job.style_masks
    paths = (job.content, *several, *map(Path, job.settings.paths.values()), weights_file)
    if gone := [path for path in paths if not path.exists()]:
        remedy = "put it there, or name another" if weights_file in gone else "name a picture file"
        raise InputError(f"{' '.join(map(str, gone))}: no such file; {remedy}")
    if not all(map(IN_EVERY_VGG.fullmatch, job.settings.layers)):
        weights.read(weights_file, job.read_limit).upto(job.settings.layers)
    return replace(job, weights=weights_file)
