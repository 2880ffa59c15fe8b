"""Events: losses and pictures of a run as TensorBoard reads them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from nst_graph.graph.tensorflow import tf
from nst_graph.optimise.steps import Step
from nst_graph.pictures import Picture, to_bytes


class Events:
    """An observer that writes each step's terms, and every so many iterations the picture."""

    def __init__(self, path: Path, mark: str, save_every: int, finish: Callable[[Picture], Picture]) -> None:
        """Events go into a file in the directory `path` that ends with `mark`, pictures as `finish` leaves them."""
        self._save_every, self._finish = save_every, finish
        with tf.Graph().as_default():
            self._writer = tf.summary.FileWriter(str(path), filename_suffix=f".{mark}")
        self._begun = False

    def observe(self, step: Step) -> None:
        """Write a step."""
        if not self._begun:  # what a killed run wrote beyond its state is not shown
            self._writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), step.iteration)
            self._begun = True
        numbers = dict(step.terms) | {"total": step.total}
        values = [tf.Summary.Value(tag=f"loss/{name}", simple_value=value) for name, value in numbers.items()]
        if step.iteration % self._save_every == 0:
            values.append(tf.Summary.Value(tag="picture", image=self._image(step)))
        self._writer.add_summary(tf.Summary(value=values), step.iteration)
        if step.iteration % self._save_every == 0:
            self._writer.flush()

    def _image(self, step: Step) -> tf.Summary.Image:
        encoded = io.BytesIO()
        pixels = to_bytes(self._finish(step.picture.astype(np.float32)))
        iio.imwrite(encoded, pixels, extension=".png", plugin="pillow")
        height, width, channels = pixels.shape
        return tf.Summary.Image(
            height=height, width=width, colorspace=channels, encoded_image_string=encoded.getvalue()
        )
