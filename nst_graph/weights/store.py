"""The store: the files of weights in places.MODEL."""

from collections.abc import Callable
from pathlib import Path

from nst_graph import places
from nst_graph.errors import InputError

#: The possible files of each network, the best first.
FILES = {
    "VGG-19": ("imagenet-vgg-verydeep-19.mat", "imagenet-vgg-verydeep-19-8bit.mat"),
    "VGG-16": ("imagenet-vgg-verydeep-16.mat",),
    "VGG-19 rescaled": ("imagenet-vgg-verydeep-19-rescaled.mat", "imagenet-vgg-verydeep-19-8bit-rescaled.mat"),
    "VGG-16 rescaled": ("imagenet-vgg-verydeep-16-rescaled.mat",),
}
#: The files that scripts/get_weights.py can get, by its names for them.
SOURCES = {"vgg19": FILES["VGG-19"][1], "vgg19-full": FILES["VGG-19"][0], "vgg16": FILES["VGG-16"][0]}


def find(network: str, say: Callable[[str], None]) -> Path:
    """Find the file of a network, or, with a message, of VGG-16 for VGG-19 or the reverse. Raises InputError."""
    sibling = network.replace("19", "16") if "19" in network else network.replace("16", "19")
    what = "rescale FILE --images DIR" if "rescaled" in network else network.lower().replace("-", "")
    get = f"{places.command('get_weights')} {what}"
    directory = places.model()
    for name in (network, sibling):
        for path in (directory / file for file in FILES[name]):
            if path.exists():
                if name != network:
                    say(f"using {name}; for {network} run {get}")
                return path
    raise InputError(f"no {network} in {directory}; run {get}, or name a file with --weights")
