"""Decoding: what libraries raise over damaged bytes becomes one exception."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image


class DamagedError(Exception):
    """A file, an image or a profile is not what its format says."""


@contextmanager
def decoding() -> Iterator[None]:
    """Around one call of a library, which may raise anything if bytes are damaged: raises DamagedError.

    Errors of the disk, and Pillow's that an image is too large, pass.
    """
    try:
        yield
    except Image.DecompressionBombError:
        raise
    except Exception as error:
        # Damaged bytes may name an offset that cannot be: EINVAL.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise DamagedError(str(error)) from error
