"""TensorFlow 1's interface, imported in silence, and what it can do on this machine.

TF_CPP_MIN_LOG_LEVEL silences TensorFlow once it is loaded, but since 2.17 not while it loads
(tensorflow/tensorflow #100442): meanwhile standard error goes to a file, shown if loading fails, not after Ctrl-C.

It also loads Keras, which takes as long as half of all else and is not needed here, unless it is told
to use the older tf_keras, which is seldom there.

By itself TensorFlow turns oneDNN on only where there is AVX-512, but AVX2 is enough for it to be faster
(docs/benchmark-processors.md).
"""

import atexit
import gc
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Self, cast

from nst_graph import machine, signals

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # or one run would take the whole card
if machine.has_avx2() and "tensorflow" not in sys.modules:
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@contextmanager
def _silence() -> Iterator[None]:
    try:
        real = os.dup(2)
    except OSError:  # there is no standard error, as in a Windows program without a console
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as heard:
        os.dup2(heard.fileno(), 2)
        try:
            yield
        except Exception:
            heard.seek(0)
            with os.fdopen(os.dup(real), "wb") as stderr:
                shutil.copyfileobj(heard, stderr)
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)


@contextmanager
def _quickly() -> Iterator[None]:
    """Without Keras, which then is loaded at its first use, and without looking for garbage, a fifth of the time."""
    legacy, collects = os.environ.get("TF_USE_LEGACY_KERAS"), gc.isenabled()
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    gc.disable()
    try:
        yield
    finally:
        if legacy is None:
            del os.environ["TF_USE_LEGACY_KERAS"]
        gc.freeze()
        if collects:
            gc.enable()


with _silence(), _quickly():
    import tensorflow.compat.v1 as tf

atexit.register(gc.freeze)  # or Python looks for garbage once more before it ends, which takes two seconds
# By itself TensorFlow lets a GPU round the factors of products to TF32, which has 10 bits for float32's 23.
tf.config.experimental.enable_tensor_float_32_execution(False)

__all__ = ["SessionOwner", "gpu_memory", "gpu_name", "gradients", "has_bfloat16", "has_gpu", "initialise"]
__all__ += ["load", "reserve", "session", "tf", "zeros"]

#: In which so many bytes are counted, or the number would not fit into 32 bits.
ROW = 1 << 20


@cache
def has_gpu() -> bool:
    """Whether TensorFlow computes on a GPU here."""
    return bool(tf.config.list_physical_devices("GPU"))


@cache
def gpu_name() -> str:
    """The first GPU's name; empty where there is none."""
    gpus = tf.config.list_physical_devices("GPU")
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")) if gpus else ""


@cache
def gpu_memory() -> int:
    """Bytes of the first GPU's memory that TensorFlow may use; 0 where there is none."""
    if not has_gpu():
        return 0
    from tensorflow.python.client import device_lib

    devices = device_lib.list_local_devices()
    return max((int(device.memory_limit) for device in devices if device.device_type == "GPU"), default=0)


def has_bfloat16() -> bool:
    """Whether products of bfloat16 are computed on a GPU, or by the processor."""
    return has_gpu() or machine.has_bfloat16()


def reserve(size: float) -> None:
    """Make TensorFlow's allocator keep one region of so many bytes on Linux, with no page of it in use.

    By itself it adds region to region, gives no page back, and what fits into none of them takes memory beside them.
    The pages of sessions that are open stay theirs.
    """
    if has_gpu() or sys.platform != "linux":
        return
    with tf.Graph().as_default() as graph, session(graph) as running, suppress(tf.errors.ResourceExhaustedError):
        machine.release_pages(running.run(tf.raw_ops.Empty(shape=(math.ceil(size / ROW), ROW), dtype=tf.uint8)))


class Session(tf.Session):  # type: ignore[misc]
    """A session whose calls are not interrupted: TensorFlow swallows one of a hundred KeyboardInterrupts."""

    def run(self, *arguments: Any, **named: Any) -> Any:
        """As TensorFlow's; what interrupts it is heard at its end."""
        with signals.deferred():
            return super().run(*arguments, **named)


def gradients(*arguments: Any, **named: Any) -> list[tf.Tensor]:
    """As TensorFlow's; what interrupts it is heard at its end: amid errors that it handles it would be another one."""
    with signals.deferred():
        return cast(list[tf.Tensor], tf.gradients(*arguments, **named))


def session(graph: tf.Graph) -> tf.Session:
    """A session of a graph. On a processor it does without Grappler, which takes seconds and gains nothing here."""
    config = tf.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = not has_gpu()
    return Session(graph=graph, config=config)


class SessionOwner:
    """A context manager that gives its session's memory back."""

    session: tf.Session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back."""
        self.session.close()
        del self.session  # until then TensorFlow keeps its variables


def initialise(session: tf.Session) -> None:
    """Initialise the current graph's variables."""
    session.run(tf.global_variables_initializer())


def load(session: tf.Session, variable: tf.Variable, value: Any) -> None:
    """Give a variable a value. Its initial value is fed: the array does not become a constant of the graph."""
    session.run(variable.initializer, {variable.initializer.inputs[1]: value})


def zeros(name: str, shape: Sequence[int], dtype: tf.DType = tf.float32, use_resource: bool = True) -> tf.Variable:
    """A variable that begins with zeros, which as a constant would stay in memory beside it."""
    nothing = tf.raw_ops.Empty(shape=shape, dtype=dtype, init=True)
    with tf.variable_scope(None, name):  # which makes its name unique
        variable = tf.get_variable("values", initializer=nothing, use_resource=use_resource)
    if not use_resource:  # without this, which Grappler says of all, its zeros would be copied into it
        variable.initializer._set_attr("_grappler_relax_allocator_constraints", tf.AttrValue(b=True))
    return variable
