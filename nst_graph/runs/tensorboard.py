"""Events: losses and pictures of a run for TensorBoard."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nst_graph.graph.tensorflow import tf
from nst_graph.optimise.steps import Step
from nst_graph.pictures import Picture, to_png


class Events:
    """An observer that writes the terms of each step, and every `save_every` iterations the picture."""

    def __init__(
        self,
        path: Path,
        mark: str,
        save_every: int,
        finish: Callable[[Picture], Picture],
        say: Callable[[str], None],
    ) -> None:
        """The file of events is in the directory `path` and ends with `mark`; `finish` is applied to pictures.

        Where it can be written no longer, `say` gets a line, and the painting goes on without it.
        """
        self._save_every, self._finish, self._say, self._failed = save_every, finish, say, False
        with tf.Graph().as_default():
            self._writer = tf.summary.FileWriter(str(path), filename_suffix=f".{mark}")
        self._started = False

    def observe(self, step: Step) -> None:
        """Write a step."""
        if self._failed:
            return
        if not self._started:  # TensorBoard then hides what a killed run wrote after its last state
            self._writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), step.iteration)
            self._started = True
        losses = dict(step.terms) | {"total": step.total}
        values = [tf.Summary.Value(tag=f"loss/{name}", simple_value=value) for name, value in losses.items()]
        due = step.iteration % self._save_every == 0
        if due:
            picture = self._finish(step.picture.astype(np.float32))
            height, width, channels = picture.shape
            png = to_png(picture)
            image = tf.Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=png)
            values.append(tf.Summary.Value(tag="picture", image=image))
        self._writer.add_summary(tf.Summary(value=values), step.iteration)
        if due:
            try:
                self._writer.flush()
            except Exception as error:  # TensorFlow's errors, or the system's
                self._failed = True
                self._say(f"no more events for TensorBoard: {str(error).splitlines()[0]}")
