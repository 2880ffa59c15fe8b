"""Progress: a bar on a terminal, lines elsewhere."""

import os
import sys

from tqdm import tqdm

from nst_graph.news import tell
from nst_graph.optimise.steps import Step

#: The bar on a terminal, short enough for a narrow one: of the work, in which an iteration counts by its pixels.
BAR = "{percentage:3.0f}%|{bar}| {desc} [{elapsed}<{remaining}{postfix}]"


def clock(seconds: float) -> str:
    """A time such as 01:23 or 1:00:00."""
    return str(tqdm.format_interval(seconds))


class Progress:
    """An observer that shows the loss and the remaining time."""

    def __init__(self, every: int, first: str) -> None:
        """`every`: iterations from line to line; `first` is printed above the first step."""
        self._every, self._first = max(1, every), first
        self._bar: tqdm | None = None
        #: The step that this process began at, whose time tells how long the others take.
        self._begin: Step | None = None

    def observe(self, step: Step) -> None:
        """Show a step; elsewhere than on a terminal, only every so many iterations."""
        if self._first:
            tell(self._first)
            self._first = ""
        self._begin = self._begin or step
        if sys.stderr.isatty():
            if self._bar is None:
                # Some terminals report a width of 0, for which tqdm shows nothing.
                columns = os.get_terminal_size(sys.stderr.fileno()).columns
                width = {"dynamic_ncols": True} if columns else {"ncols": 80}
                self._bar = tqdm(total=1.0, initial=1 - step.left, bar_format=BAR, **width)
            self._bar.set_description_str(f"{step.iteration}/{step.planned}", refresh=False)
            self._bar.set_postfix_str(f"loss {step.total:.4g}", refresh=False)
            self._bar.update(1 - step.left - self._bar.n)
        elif step.iteration % self._every == 0 or step.iteration == step.planned:
            terms = ", ".join(f"{name} {value:.4g}" for name, value in step.terms.items())
            line = f"iteration {step.iteration} of {step.planned}: loss {step.total:.6g} ({terms}, before weights); "
            line += f"{clock(step.seconds)} gone"
            done = self._begin.left - step.left
            line += f", {clock((step.seconds - self._begin.seconds) / done * step.left)} left" if done > 0 else ""
            tell(line)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        with tqdm.external_write_mode():
            tell(line)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
