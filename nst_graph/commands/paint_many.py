"""The command scripts/paint_many.py: make all paintings in a list."""

from collections.abc import Sequence

from nst_graph import places
from nst_graph.batch import jobs
from nst_graph.commands import common, options, paint


def main(arguments: Sequence[str] | None = None) -> int:
    """Run scripts/paint_many.py; returns its exit status, 2 if any painting failed."""
    return common.run("paint_many", lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    about = "Paint each entry of a list; finished ones are skipped, unfinished ones go on."
    parser = common.Parser(prog=places.program("paint_many"), description=about, allow_abbrev=False)
    about = "a .toml or .csv file: content, styles and any options of each"
    parser.add_argument("list", metavar="LIST", type=common.named, help=about)
    options.add(parser, "workers", "scheduler")
    args = parser.parse_args(arguments)
    common.check_workers(args.workers)
    listed = jobs.read_list(args.list, paint.job, options.switches())
    return common.report("paint_many", common.perform(listed, args.scheduler, args.workers))
