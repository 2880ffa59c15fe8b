"""Progress: a bar on a terminal, lines elsewhere."""

import os
import sys

from tqdm import tqdm

from nst_graph.news import tell
from nst_graph.optimise.steps import Step

#: The bar on a terminal, short enough for a narrow one.
BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


def clock(seconds: float) -> str:
    """A time such as 01:23 or 1:00:00."""
    return str(tqdm.format_interval(seconds))


class Progress:
    """An observer that shows the loss and the remaining time."""

    def __init__(self, every: int, first: str) -> None:
        """`every`: iterations from line to line; `first` is printed above the first step."""
        self._every, self._first = max(1, every), first
        self._bar: tqdm | None = None

    def observe(self, step: Step) -> None:
        """Show a step; elsewhere than on a terminal, only every so many iterations."""
        if self._first:
            tell(self._first)
            self._first = ""
        if sys.stderr.isatty():
            if self._bar is None:
                # Some terminals report a width of 0, for which tqdm shows nothing.
                columns = os.get_terminal_size(sys.stderr.fileno()).columns
                width = {"dynamic_ncols": True} if columns else {"ncols": 80}
                self._bar = tqdm(total=step.planned, bar_format=BAR, **width)
            self._bar.set_postfix_str(f"loss {step.total:.4g}", refresh=False)
            self._bar.update(step.iteration - self._bar.n)
        elif step.iteration % self._every == 0 or step.iteration == step.planned:
            terms = ", ".join(f"{name} {value:.4g}" for name, value in step.terms.items())
            left = step.seconds / max(1, step.iteration) * (step.planned - step.iteration)
            line = f"iteration {step.iteration} of {step.planned}: loss {step.total:.6g} ({terms}, before weights); "
            line += f"{clock(step.seconds)} gone"
            line += f", {clock(left)} left" if step.iteration else ""
            tell(line)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        with tqdm.external_write_mode():
            tell(line)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
