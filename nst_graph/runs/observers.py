"""What a painting shows elsewhere: progress on a terminal, in lines or in a notebook; events for TensorBoard."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from nst_graph.evaluation import Floats
from nst_graph.images import Picture, fit, to_png
from nst_graph.model.tensorflow import tf
from nst_graph.news import tell
from nst_graph.optimise.steps import Step
from nst_graph.runs import records

#: The bar on a terminal, short enough for a narrow one: of the work, in which an iteration counts by its pixels.
BAR = "{percentage:3.0f}%|{bar}| {desc} [{elapsed}<{remaining}{postfix}]"

#: Seconds between two pictures in a notebook, and their longer side.
PICTURE_EVERY, PICTURE_SIDE = 2.0, 512


def clock(seconds: float) -> str:
    """A time such as 01:23 or 1:00:00."""
    return str(tqdm.format_interval(seconds))


def in_notebook() -> bool:
    """Whether Jupyter runs this, and shows pictures."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class Progress:
    """An observer that shows the loss and the remaining time: in a bar on a terminal, elsewhere in lines.

    In a notebook it shows a bar and the picture so far.
    """

    def __init__(self, every: int, *first: str) -> None:
        """`every`: iterations from line to line; `first` is printed above the first step."""
        self._every, self._first = max(1, every), first
        self._bar: tqdm | None = None
        self._display: Any = None
        self._drawn = 0.0
        #: The step that this process began at, whose time tells how long the others take.
        self._start: Step | None = None

    def observe(self, step: Step) -> None:
        """Show a step; elsewhere than on a terminal, only every so many iterations."""
        if self._start is None:
            self._start = step
            if self._first:
                tell(*self._first)
        if in_notebook() or sys.stderr.isatty():
            if self._bar is None:
                # Some terminals report a width of 0, for which tqdm shows nothing.
                columns = in_notebook() or os.get_terminal_size(sys.stderr.fileno()).columns
                width = {"dynamic_ncols": True} if columns else {"ncols": 80}
                self._bar = tqdm(total=1.0, initial=1 - step.left, bar_format=BAR, **width)
            self._bar.set_description_str(f"{step.iteration}/{step.total_iterations}", refresh=False)
            self._bar.set_postfix_str(f"loss {step.total:.4g}", refresh=False)
            self._bar.update(1 - step.left - self._bar.n)
            if time.monotonic() - self._drawn > PICTURE_EVERY:
                self.draw(step.picture)
        elif step.iteration % self._every == 0 or step.iteration == step.total_iterations:
            terms = ", ".join(f"{name} {value:.4g}" for name, value in step.terms.items())
            line = f"iteration {step.iteration} of {step.total_iterations}: loss {step.total:.6g} "
            line += f"({terms}, before weights); {clock(step.seconds)} gone"
            done = self._start.left - step.left
            line += f", {clock((step.seconds - self._start.seconds) / done * step.left)} left" if done > 0 else ""
            tell(line)

    def draw(self, picture: Floats) -> None:
        """Show a picture in a notebook, in the place of the one before."""
        if in_notebook():
            from IPython.display import Image, display

            image = Image(to_png(fit(picture.astype(np.float32), PICTURE_SIDE)))
            self._display = self._display or display(image, display_id=True)
            self._display.update(image)
        self._drawn = time.monotonic()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        with tqdm.external_write_mode():
            tell(line)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class Events:
    """Writes losses and pictures for TensorBoard. Where it can no longer, `say` gets a line, and that is all."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        with tf.Graph().as_default():
            self._writer = tf.summary.FileWriter(str(path / records.TENSORBOARD), filename_suffix=records.EVENTS)
        self._say, self._has_started, self._has_failed = say, False, False

    def write(self, step: Step, picture: Picture | None) -> None:
        """Write the terms of a step, and its picture, where that is saved."""
        if self._has_failed:
            return
        if not self._has_started:  # TensorBoard then hides what a killed run wrote after its last state
            self._writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), step.iteration)
            self._has_started = True
        terms = {**step.terms, "total": step.total}
        values = [tf.Summary.Value(tag=f"loss/{name}", simple_value=value) for name, value in terms.items()]
        if picture is not None:
            height, width, channels = picture.shape
            png = to_png(picture)
            image = tf.Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=png)
            values.append(tf.Summary.Value(tag="picture", image=image))
        self._writer.add_summary(tf.Summary(value=values), step.iteration)
        if picture is not None:
            try:
                self._writer.flush()
            except Exception as error:  # TensorFlow's errors, or the system's
                self._has_failed = True
                self._say(f"no more events for TensorBoard: {str(error).splitlines()[0]}")
