"""Progress: a bar on a terminal, lines elsewhere."""

import shutil
import sys

from tqdm import tqdm

from nst_graph.news import tell
from nst_graph.optimise.steps import Step


class Progress:
    """An observer that shows the loss and the remaining time."""

    def __init__(self, iterations: int, every: int) -> None:
        self._iterations, self._every = iterations, max(1, every)
        self._bar: tqdm | None = None

    def observe(self, step: Step) -> None:
        """Show a step; elsewhere than on a terminal, only every so many iterations."""
        if sys.stderr.isatty():
            if self._bar is None:
                # Some terminals report a width of 0, for which tqdm shows nothing.
                columns = None if shutil.get_terminal_size((0, 0)).columns else 80
                self._bar = tqdm(total=self._iterations, unit="iteration", ncols=columns)
            self._bar.set_postfix_str(f"loss {step.total:.4g}", refresh=False)
            self._bar.update(step.iteration - self._bar.n)
        elif step.iteration % self._every == 0 or step.iteration == self._iterations:
            terms = ", ".join(f"{name} {value:.4g}" for name, value in step.terms.items())
            left = step.seconds / max(1, step.iteration) * (self._iterations - step.iteration)
            line = f"iteration {step.iteration} of {self._iterations}: loss {step.total:.6g} ({terms}); "
            line += f"{tqdm.format_interval(step.seconds)} gone"
            line += f", {tqdm.format_interval(left)} left" if step.iteration else ""
            tell(line)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        with tqdm.external_write_mode():
            tell(line)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
