"""The names that films and runs have for what is in stages."""

from nst_graph.stages import InputFiles as Sources
from nst_graph.stages import InputImages as Originals
from nst_graph.stages import PreparedStage as Scene
from nst_graph.stages import Say

read = Originals.read
__all__ = ["Originals", "Say", "Scene", "Sources", "read"]
