"""A Neural Algorithm of Artistic Style (Gatys, Ecker and Bethge 2015) as a TensorFlow 1.x graph.

    >>> import nst_graph
    >>> painting = nst_graph.paint("photo.jpg", "painting.jpg", size=256, iterations=5)
    >>> painting.save("result.png")

`paint` paints and `steps` gives the steps of it, `Settings` are how to paint, `RECIPES` those of systems that people
know, and `fast` makes them quick. What needs TensorFlow is imported when it is first used.
"""

from typing import TYPE_CHECKING, Any

from nst_graph.errors import InputError
from nst_graph.recipes import RECIPES, Recipe, fast
from nst_graph.settings import Settings
from nst_graph.version import __version__

if TYPE_CHECKING:
    from nst_graph.painting import Interrupted, Painting, paint, steps

__all__ = ["RECIPES", "InputError", "Interrupted", "Painting", "Recipe", "Settings"]
__all__ += ["__version__", "fast", "paint", "steps"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from nst_graph import painting

        return getattr(painting, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
