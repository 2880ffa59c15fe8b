"""A Neural Algorithm of Artistic Style (Gatys, Ecker and Bethge 2015) as a TensorFlow 1.x graph.

    import nst_graph
    painting = nst_graph.paint("photo.jpg", "painting.jpg", nst_graph.Settings(size=256))

What needs TensorFlow is imported when it is first used.
"""

from typing import TYPE_CHECKING, Any

from nst_graph.errors import InputError
from nst_graph.recipes import Settings

if TYPE_CHECKING:
    from nst_graph.painting import Painting, paint

__all__ = ["InputError", "Painting", "Settings", "paint"]


def __getattr__(name: str) -> Any:
    if name in ("Painting", "paint"):
        from nst_graph import painting

        return getattr(painting, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
