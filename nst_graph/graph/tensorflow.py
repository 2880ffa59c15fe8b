"""TensorFlow 1's interface, imported in silence.

TF_CPP_MIN_LOG_LEVEL silences TensorFlow once it is loaded, but since 2.17 not while it loads
(tensorflow/tensorflow #100442): meanwhile standard error goes to a file, shown if loading fails, not after Ctrl-C.

It also loads Keras, which takes as long as half of all else and is not needed here, unless it is told
to use the older tf_keras, which is seldom there.

By itself TensorFlow turns oneDNN on only where there is AVX-512, but AVX2 is enough for it to be faster
(docs/benchmark-processors.md).
"""

import atexit
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from nst_graph import machine

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
def _without_keras() -> Iterator[None]:
    """For the import alone: tf.keras, loaded at its first use, is Keras as ever."""
    if "TF_USE_LEGACY_KERAS" in os.environ:
        yield
        return
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    try:
        yield
    finally:
        del os.environ["TF_USE_LEGACY_KERAS"]


@contextmanager
def _without_collection() -> Iterator[None]:
    """Nothing in a module is garbage; looking for it takes a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


with _silence(), _without_keras(), _without_collection():
    import tensorflow.compat.v1 as tf

atexit.register(gc.freeze)  # or Python looks for garbage once more before it ends, which takes two seconds

#: Numbers of a variable that is initialised by itself.
LARGE = 10_000_000

__all__ = ["gpu_memory", "gpu_name", "has_bfloat16", "has_gpu", "initialise", "load", "session", "tf", "zeros"]

# By itself TensorFlow lets a GPU round the factors of products to TF32, which has 10 bits for float32's 23.
tf.config.experimental.enable_tensor_float_32_execution(False)


@cache
def has_gpu() -> bool:
    """Whether TensorFlow computes on a GPU here."""
    return bool(tf.config.list_physical_devices("GPU"))


@cache
def gpu_name() -> str:
    """The first GPU's name; empty where there is none."""
    gpus = tf.config.list_physical_devices("GPU")
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")) if gpus else ""


def has_bfloat16() -> bool:
    """Whether products of bfloat16 are computed on a GPU, or by the processor."""
    return has_gpu() or machine.has_bfloat16()


@cache
def gpu_memory() -> int:
    """Bytes of the first GPU's memory that TensorFlow may use; 0 where there is none."""
    if not has_gpu():
        return 0
    from tensorflow.python.client import device_lib

    devices = device_lib.list_local_devices()
    return max((int(device.memory_limit) for device in devices if device.device_type == "GPU"), default=0)


def session(graph: tf.Graph) -> tf.Session:
    """A session of a graph. On a processor it does without Grappler, which takes seconds and gains nothing here."""
    config = tf.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = not has_gpu()
    return tf.Session(graph=graph, config=config)


def initialise(session: tf.Session) -> None:
    """Initialise the current graph's variables, the large ones first, one by one: each is there twice meanwhile."""
    sized = [(variable.shape.num_elements() or 0, variable.initializer) for variable in tf.global_variables()]
    for size, initializer in sorted(sized, key=lambda pair: -pair[0]):
        if size > LARGE:
            session.run(initializer)
    session.run([initializer for size, initializer in sized if size <= LARGE])


def load(session: tf.Session, variable: tf.Variable, value: Any) -> None:
    """Give a variable a value. Its initial value is fed: the array does not become a constant of the graph."""
    session.run(variable.initializer, {variable.initializer.inputs[1]: value})


def zeros(name: str, shape: Sequence[int], dtype: tf.DType = tf.float32, use_resource: bool = True) -> tf.Variable:
    """A variable that begins with zeros, which as a constant would stay in memory beside it."""
    nothing = tf.raw_ops.Empty(shape=shape, dtype=dtype, init=True)
    return tf.get_variable(name, initializer=nothing, use_resource=use_resource)
