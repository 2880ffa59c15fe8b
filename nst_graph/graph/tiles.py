from nst_graph.graph.objective import TiledObjective, refuse_unit_gradients
from nst_graph.graph.targets import Tile, tiles

__all__ = ["Tile", "TiledObjective", "refuse_unit_gradients", "tiles"]
