"""A Neural Algorithm of Artistic Style (Gatys, Ecker and Bethge 2015) as a TensorFlow 1.x graph.

    >>> import nst_graph
    >>> painting = nst_graph.paint("photo.jpg", "painting.jpg", nst_graph.Settings(size=256, iterations=5))
    >>> painting.save("result.png")

Settings are how to paint, RECIPES those of systems that people know, `fast` makes them quick, and
`paint` paints. What needs TensorFlow is imported when it is first used.
"""

from typing import TYPE_CHECKING, Any

from nst_graph.errors import InputError
from nst_graph.recipes import RECIPES, Recipe, fast
from nst_graph.settings import Settings
from nst_graph.version import __version__

if TYPE_CHECKING:
    from nst_graph.painting import Painting, paint

__all__ = ["RECIPES", "InputError", "Painting", "Recipe", "Settings", "__version__", "fast", "paint"]


def __getattr__(name: str) -> Any:
    if name in ("Painting", "paint"):
        from nst_graph import painting

        return getattr(painting, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
