"""A Run: an observer that writes pictures, losses, state and a page into a directory, each file whole or not at all."""

import json
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np

from nst_graph import images, signals
from nst_graph.errors import DamagedError, InputError, Pause
from nst_graph.evaluation import Floats
from nst_graph.images import Picture
from nst_graph.optimise.steps import Step
from nst_graph.runs import losses, page, records, state, timelapse
from nst_graph.runs.directory import check_depth, claimed, split_output, writing
from nst_graph.runs.observers import Events
from nst_graph.settings import Settings
from nst_graph.stages import InputFiles, PreparedStage, Say
from nst_graph.version import __version__

Stages = Sequence[PreparedStage]
#: Packages whose versions are recorded.
PACKAGES = ("tensorflow", "scipy", "numpy", "imageio", "pillow")
#: Minimum seconds between two updates of losses.csv and the page, and of losses.png and the gallery, which take longer.
LOSSES_EVERY, PLOT_EVERY, GALLERY_EVERY = 4.0, 20.0, 60.0


def row_of(step: Step) -> losses.Row:
    """The row of losses.csv of a step: its counts, its terms before their weights, and the total, equation 7."""
    return {name: getattr(step, name) for name in losses.COUNTS} | {**step.terms, "total": step.total}


class BaseRun:
    """The run of a painting or a film: its directory, its record, and how it begins, goes on and ends.

    As a context manager it says how an unfinished run ended, and unlocks the directory.
    """

    def __init__(self, path: Path, picture: Path | None = None, overwrite: bool = False, resume: bool = False) -> None:
        """Raises InputError as `claimed` does, and `state.reached` with `resume`."""
        self.path, self._resume, self._is_open, self._listed = path, resume, False, -math.inf
        #: What a resumed run was begun with, and the step that it reached; None at the start.
        self._earlier: dict[str, Any] = {}
        self.resume_from: Step | None = None
        with ExitStack() as stack:
            self._directory = stack.enter_context(claimed(path, picture, overwrite, resume))
            if resume:
                self._earlier, self.resume_from = state.reached(path)
            self._claim = stack.pop_all()
        #: The stages of a resumed run, as its record has them, with what was decided for each.
        self.stages: list[dict[str, Any]] = self._earlier.get("stages", [])
        self._is_finished = self._earlier.get("outcome", {}).get("state") == "finished"

    def open(self, sources: InputFiles, network: str, settings: Settings, stages: Stages, **more: Any) -> None:
        """Remove an older run unless it goes on, and write run.json, which says `more` of a film.

        Raises InputError if the run was begun with other sources or settings, would replace a source, or the directory
        cannot be written.
        """
        self._record = json.loads(json.dumps(_describe(sources, network, settings, stages) | more))
        if self._resume:
            if different := records.differences(self._earlier, self._record):
                raise InputError("; ".join(different) + "; resume with what it was begun with, or paint elsewhere")
            # The sources may now be the copies in the directory, which are removed at the end.
            self._record |= {name: self._earlier[name] for name in records.SOURCES}
        self._check_apart(sources)
        with writing(self.path):
            # Before run.json is written, so that an old state never has a new record.
            self._directory.remove(r".*\.unfinished.*" if self._resume else r"(?!run\.json).*")
            if self._is_finished and self.resume_from is not None:
                self._save_state(self.resume_from)  # before run.json says that it is not finished
            self._record_outcome({"state": "painting"})
            self._save_inputs(sources, stages[-1])
            self._publish()
        self._is_open = True

    def _check_apart(self, sources: InputFiles) -> None:
        """Raise InputError if what is painted from is about to be replaced."""
        own = [] if self._resume else [self.path / name for name in self._directory.names()]
        picture = self._directory.picture
        for source in sources.by_role().values():
            if any(file.exists() and file.samefile(source) for file in own):
                raise InputError(f"{source}: a file of the run that --overwrite replaces; name a copy elsewhere")
            if picture is not None and picture.exists() and picture.samefile(source):
                raise InputError(f"--output {picture}: is what is painted from; name another")

    def _save_inputs(self, sources: InputFiles, stage: PreparedStage) -> None:
        """Save what the page shows of what is painted from: the photograph, or a clip's first frame, and the styles."""
        shown = {"content": stage.with_alpha(stage.photograph)}
        shown |= {f"style-{number}": style.picture for number, style in enumerate(stage.styles, 1)}
        for name, picture in shown.items():
            self._directory.put(f"{name}.png", images.to_png(picture))

    def _publish(self) -> None:
        """Write the page, and now and then the gallery, which takes longer."""
        if time.monotonic() - self._listed > GALLERY_EVERY:
            page.update_gallery(self.path.parent)  # first, as the page has a link to it
            self._listed = time.monotonic()
        self._directory.put("index.html", page.of_run(self.path))

    def _record_outcome(self, outcome: dict[str, Any]) -> None:
        self._record["outcome"] = outcome
        self._directory.describe(self._record)

    def _save_state(self, step: Step) -> None:
        self._directory.write("state.npz", lambda file: state.write(step, file))

    def _stop(self, state: str) -> None:
        """Save what there is, and say how the run ended."""
        self._end({"state": state})

    def _end(self, outcome: dict[str, Any]) -> None:
        with signals.ignored():  # or it would be taken for unfinished, without what it takes to go on
            self._record_outcome(outcome)
            self._is_open, self._listed = False, -math.inf
            if outcome["state"] == "finished":
                self._directory.remove(r"state\.npz|\.sources/.*")
            self._publish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        outcomes = ((KeyboardInterrupt, "interrupted"), (Pause, "paused"))
        with self._claim:
            if self._is_open:
                # On a full disk this fails too, but the last saved state is intact.
                with signals.ignored(), suppress(*([OSError] if isinstance(error, OSError) else [])):
                    self._stop(next((state for kind, state in outcomes if isinstance(error, kind)), f"failed: {error}"))


class Run(BaseRun):
    """An observer that records a painting in a directory, so that it can be watched, repeated and resumed.

    It writes iteration-00000.png, the start, iteration-00100.png, ..., final.png, losses.csv, losses.png, run.json,
    index.html, and until it is finished state.npz and copies of the source pictures; final.png as `path` too, if that
    names a picture: its directory then has that name without the suffix.
    """

    def __init__(self, path: Path, overwrite: bool = False, resume: bool = False, say: Say = lambda line: None) -> None:
        """`say` gets a line where something beside the painting fails, such as its curves."""
        super().__init__(*split_output(path), overwrite, resume)
        self._say, self._last = say, self.resume_from
        rows = losses.read(self.path)
        #: The rows of losses.csv by iteration, also those of before a run went on.
        self.rows = {number: row for number, row in rows.items() if self._last and number <= self._last.iteration}
        self._written, self._drawn = -math.inf, time.monotonic()

    def open(self, sources: InputFiles, network: str, settings: Settings, stages: Stages, **more: Any) -> None:
        """Open it as every run; one that is finished goes on to a new limit of iterations."""
        check_depth(self._directory.picture, settings.depth)
        step = self.resume_from
        if step and (step.stage >= len(stages) or step.picture.shape != stages[step.stage].shape):
            remedy = "resume it with the size and the scales that it was begun with, or paint anew with --overwrite"
            raise InputError(f"state.npz: its stages are not these; {remedy}")
        self._save_every, self.final_form = settings.save_every, stages[-1].finish
        self._form = settings.depth, records.texts(settings, network), settings.dpi
        if self._is_finished:
            self._earlier["settings"]["iterations"] = settings.iterations
        super().open(sources, network, settings, stages, **more)
        self._events = Events(self.path, self._say) if settings.tensorboard else None

    def _save_inputs(self, sources: InputFiles, stage: PreparedStage) -> None:
        for role, source in sources.by_role().items():  # so that it can go on if they are moved or deleted
            if not (self.path / records.COPIES / role).exists():
                self._directory.put(f"{records.COPIES}/{role}", source.read_bytes())
        super()._save_inputs(sources, stage)

    def observe(self, step: Step) -> None:
        """Log a step, and save its picture and the state every `save_every` iterations; of the start, its picture."""
        self._last = step
        self.rows[step.iteration] = row_of(step)
        due, finished = step.iteration % self._save_every == 0, None
        if due:
            picture = step.picture  # read once
            step = replace(step, read=lambda: picture)
            finished = self._save(step, f"iteration-{step.iteration:05}.png")
        if self._events is not None:
            self._events.write(step, finished)
        if due or time.monotonic() - self._written > LOSSES_EVERY:
            self._publish()
        if due and step.iteration > 0:
            self._save_state(step)

    def show_style(self, number: int, picture: Floats) -> None:
        """Show a STYLE that is still being painted, and that the run is alive."""
        self._directory.put(f"style-{number}.png", images.to_png(picture.astype(np.float32, copy=False)))
        self._directory.describe(self._record)

    def keep_detail(self, number: int, paint: Callable[[], Picture]) -> Picture:
        """A STYLE that is painted first, as detail-N.png has it: once that is there, it is not painted again."""
        path = self.path / f"detail-{number}.png"
        if not path.exists():
            self._directory.put(path.name, images.to_png(paint(), 16))
        picture = images.read(path, math.inf)  # the program's own is not too large
        self.show_style(number, picture)
        return picture

    def finish(self, reason: str) -> None:
        """End the run: save final.png and the timelapse, and remove the state and the copies of the sources."""
        self._save_end()
        kind = self._record["settings"]["timelapse"]
        if kind is not None:
            try:
                self._directory.put(f"timelapse.{kind}", timelapse.film(self.path, kind))
            except DamagedError as error:
                self._say(f"no timelapse: {error}")
        self._end({"state": "finished", "reason": reason})

    def _stop(self, state: str) -> None:
        if self._last is not None:
            self._save_state(self._last)
        self._save_end()
        super()._stop(state)

    def _save_end(self) -> None:
        if self._last is not None:
            picture = self._save(self._last, "final.png")
            if (beside := self._directory.picture) is not None:
                self._directory.put_picture(images.to_file(picture, beside.suffix, *self._form))
            self._directory.put("losses.csv", losses.to_csv(self.rows))

    def _end(self, outcome: dict[str, Any]) -> None:
        if self._last is not None:
            counts = {name: getattr(self._last, name) for name in state.FIELDS if name != "terms"}
            outcome |= {"iterations": counts.pop("iteration")} | counts | {"seconds": round(self._last.seconds, 3)}
        self._drawn = -math.inf
        super()._end(outcome)

    def _save(self, step: Step, name: str) -> Picture:
        picture = self.final_form(step.picture.astype(np.float32, copy=False))
        self._directory.put(name, images.to_png(picture, *self._form))
        return picture

    def _publish(self) -> None:
        """Write losses.csv too, and now and then the curves."""
        if self.rows:
            self._directory.put("losses.csv", losses.to_csv(self.rows))
            if time.monotonic() - self._drawn > PLOT_EVERY:
                plot = losses.draw(losses.weighted(self.rows, self._record["settings"]), self._say)
                if plot is not None:
                    self._directory.put("losses.png", plot)
                self._drawn = time.monotonic()
        super()._publish()
        self._written = time.monotonic()


def _describe(sources: InputFiles, network: str, settings: Settings, stages: Stages) -> dict[str, Any]:
    """Everything needed to repeat the painting, and what was decided for each stage."""
    height, width = stages[-1].shape[:2]
    return {
        "content": records.source(sources.content),
        **{name: [records.source(path) for path in getattr(sources, name)] for name in records.SEVERAL},
        **{name: records.source(path) for name, path in sources.named_by.items()},
        "weights": records.source(sources.weights) | {"network": network},
        "settings": asdict(settings),
        "read_limit": sources.read_limit,
        "width": width,
        "height": height,
        "stages": [stage.record() for stage in stages],
        "versions": {"python": platform.python_version(), "nst_graph": __version__}
        | {package: version(package) for package in PACKAGES},
        # "0", "1", or null if TensorFlow decides.
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
    }
