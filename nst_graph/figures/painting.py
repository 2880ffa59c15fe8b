"""A figure painted: a run for each panel in the figure's directory, and all of them on a sheet."""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from nst_graph.batch.jobs import Job
from nst_graph.errors import InputError
from nst_graph.figures import sheets
from nst_graph.figures.panels import Figure
from nst_graph.news import count, tell
from nst_graph.runs import page
from nst_graph.runs.directory import numbered


def free(path: Path, figure: Figure) -> Path:
    """The first of PATH, PATH-2, ... that holds no panels of other settings or pictures."""

    def is_free(place: Path) -> bool:
        try:
            for name, job in figure.jobs.items():
                replace(job, output=place / name).finished()
        except InputError:
            return False
        return True

    return next(filter(is_free, numbered(path)))


def paint(
    figure: Figure, sheet: Path, panels: Collection[str], read_limit: float, perform: Callable[[list[Job]], list[str]]
) -> list[str]:
    """Paint these panels, or all, by `perform`, beside a sheet, and lay them out; returns a line for each failure.

    `sheet` has no suffix yet. Panels whose pictures are missing are left out. Raises InputError, before anything is
    painted, if there is no panel of a name, or the directory holds something else.
    """
    directory, layouts = sheet.parent, [sheet.with_name(f"{sheet.name}.{kind}") for kind in ("png", "pdf")]
    for panel in panels:
        if panel not in figure.jobs:
            raise InputError(f"--panels {panel}: not in {sheet.name}; it has {', '.join(figure.jobs)}")
    jobs = [
        replace(job, output=directory / panel)
        for panel, job in figure.jobs.items()
        if panel in (panels or figure.jobs) and all(path.exists() for path in (job.content, *job.styles))
    ]
    for job in jobs:
        job.finished()  # raises before anything is painted
    for path in layouts:
        sheets.check(path)
    tell(f"{directory}: {count(len(jobs), 'painting')}")
    directory.mkdir(parents=True, exist_ok=True)
    page.write_gallery(directory)  # which is kept up while they are painted
    failures = perform(jobs)
    for path in layouts:
        sheets.compose(figure, directory, path, read_limit)
        tell(f"laid out {path}")
    page.write_gallery(directory)
    return failures
