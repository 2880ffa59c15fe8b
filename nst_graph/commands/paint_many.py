"""The command scripts/paint_many.py: make all paintings in a list."""

from nst_graph import places
from nst_graph.batch import jobs
from nst_graph.commands import common, options, paint


@common.command("paint_many")
def main(words: list[str]) -> list[str]:
    about = "Paint each entry of a list; finished ones are skipped, unfinished ones go on."
    parser = common.Parser(prog=places.program("paint_many"), description=about, allow_abbrev=False)
    about = "a .toml or .csv file: content, styles and any options of each"
    parser.add_argument("list", metavar="LIST", type=common.file_path, help=about)
    options.add(parser, "workers", "scheduler")
    args = vars(parser.parse_args(words))
    common.check_workers(args["workers"])
    listed = jobs.read_list(args["list"], paint.job, options.switches())
    return common.perform(listed, args)
