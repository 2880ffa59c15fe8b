"""The command scripts/studio.py: a page on this machine that paints the two pictures dropped on it."""

import importlib.util
import json
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import replace
from functools import partial
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nst_graph import machine, places, signals
from nst_graph.batch import tasks
from nst_graph.batch.jobs import Job
from nst_graph.commands import common, options, paint
from nst_graph.errors import InputError
from nst_graph.news import tell
from nst_graph.recipes import PRINT_SCALES, RECIPES
from nst_graph.runs import page, records
from nst_graph.settings import Settings

#: The iterations that "Go on" adds to a finished painting, and those of a large one at the size that it comes from.
MORE, BEFORE = 100, 10
CSS = """
.plain :is(input[type=number], button, .min_value, .max_value, .tab-like-container) { display: none }
iframe { width: 100%; height: max(30rem, 90vh); border: 1px solid var(--border-color-primary); border-radius: .5rem }
"""


class Painter:
    """Paints one picture at a time by scripts/paint.py, in a process that ends when this one does."""

    def __init__(self, errors: Path, run: Path | None = None) -> None:
        self.run, self._errors, self._begun, self._process = run, errors, 0.0, tasks.CONTEXT.Process()

    def start(self, run: Path, *words: str) -> None:
        """Paint into a directory. Raises InputError if another picture is being painted."""
        if self.is_busy():
            raise InputError("a picture is being painted; stop it first, or wait")
        self.run, self._begun = run, time.time()
        self._process = tasks.CONTEXT.Process(target=_work, args=([*words, "--quiet"], self._errors), daemon=True)
        tasks.block_ctrl_c()  # for the process, which is stopped once
        self._process.start()

    def is_busy(self) -> bool:
        return self._process.pid is not None and self._process.exitcode is None

    def stop(self) -> None:
        """End the painting at its next step, and wait until it is saved."""
        if self.is_busy():
            self._process.terminate()
            self._process.join()

    def address(self) -> str:
        """That of the run's page, another one for each start; empty before there is one."""
        file = self.run and self.run / "index.html"
        is_there = file and file.exists() and file.stat().st_mtime >= self._begun
        return f"output/{quote(file.parent.name)}/?{self._begun}" if file and is_there else ""

    def news(self) -> str:
        """A line on what it does."""
        code = self._process.exitcode
        if code not in (None, 0, 130, -signal.SIGTERM):
            error = self._errors.read_text("utf-8").partition("error: ")[2]
            return error or f"the painting was killed (status {code}); what was saved is kept"
        if self.is_busy():
            return "painting" if self.address() else "loading TensorFlow takes some seconds"
        return "not painting now" if self.address() else "drop two pictures, then press Paint"


def _work(words: list[str], errors: Path) -> None:
    """Paint, in a process of its own."""
    tasks.end_with_parent()
    with errors.open("w", encoding="utf-8", errors="backslashreplace") as said, redirect_stderr(said):
        raise SystemExit(paint.main(words))


class Studio:
    """What the page does: a painting that is watched, and a large one in the background."""

    def __init__(self, output: Path) -> None:
        kept, run = output / "pictures", None
        #: What was chosen last, for a page that is opened anew.
        self.choices: Sequence[Any] = ()
        self.output, self._memory, self._address = output, kept / "studio.json", ""
        with suppress(OSError, ValueError):
            run, choices = json.loads(self._memory.read_text())
            self.choices = choices if all(map(os.path.exists, choices[:2])) else ()
        self.watched = Painter(kept / "watched.txt", run and output / run)
        self.large = Painter(kept / "large.txt")

    def paint(self, *choices: Any) -> None:
        self._start(self.watched, choices[0], choices[1], _settings(*choices))

    def go_on(self, photo: str, style: str, *choices: Any) -> None:
        """Go on from the picture that is watched: with its run, or with a new one if something was changed."""
        settings = _settings(photo, style, *choices)
        self.watched.stop()
        record, job, start = self._latest()
        if not records.are_of(record, "content", [Path(photo)]):
            raise InputError("this photograph was not painted yet; press Paint")
        kept = {name: getattr(job.settings, name) for name in ("init", "scales", "scale_iterations", "iterations")}
        is_same = replace(settings, **kept) == job.settings and records.are_of(record, "styles", [Path(style)])
        is_finished = record["outcome"].get("state") == "finished"
        if is_same and (is_finished or (job.output / "state.npz").exists()):
            more = ["--more", str(MORE)] if is_finished else []
            self.watched.start(job.output, "--resume", str(job.output), *more)
        else:
            self._start(self.watched, photo, style, replace(settings, init=start, scales=(), scale_iterations=()))

    def paint_large(self, size: int) -> None:
        """Paint the picture that is watched at this size, with its settings, from what there is of it."""
        _, job, start = self._latest()
        before = job.settings.size or size
        steps = {before: BEFORE} | {side: count for side, count in PRINT_SCALES.items() if before < side <= size}
        if len(steps) == 1:
            raise InputError(f"this picture has {before} pixels; choose more")
        larger: dict[str, Any] = {"size": size, "enlarge": True, "init": start, "iterations": steps.pop(size)}
        larger |= {"scales": (*steps,), "scale_iterations": (*steps.values(),)}
        half = round(machine.memory() / 2e9, 1)  # as another picture may be painted beside it
        self._start(self.large, job.content, job.styles[0], replace(job.settings, memory=half, **larger))

    def _latest(self) -> tuple[dict[str, Any], Job, str]:
        """The run that is watched, and its latest picture. Raises InputError where there is none."""
        run = self.watched.run or self.output
        pictures = [*run.glob("final.png"), *run.glob("iteration-*.png")]
        if not pictures:
            raise InputError("there is no picture yet; wait for one, or press Paint")
        record = records.read(run)
        return record, paint.resumed(record, run, {}), str(max(pictures, key=lambda file: file.stat().st_mtime))

    def _start(self, painter: Painter, photo: Any, style: Any, settings: Settings) -> None:
        names = [Path(picture).stem[:40] for picture in (photo, style)]
        run = self.output / "-".join([*names, str(settings.size), time.strftime("%Y%m%d-%H%M%S")])
        words = chain(*page.fewest_options(settings) or ())  # of a recipe and this form there always are some
        painter.start(run, str(photo), str(style), *words, "--output", str(run))

    def remember(self, *choices: Any) -> None:
        """Keep what was chosen, and the run that is watched, also for another studio."""
        self.choices = choices
        self._memory.write_text(json.dumps((self.watched.run and self.watched.run.name, choices)))

    def look(self) -> str:
        """What is painted, as HTML: news, and the page of the run that is watched, the one before until it is there."""
        self._address = self.watched.address() or self._address
        news = [escape(self.watched.news()), '<a href="output/" target="_blank">all paintings</a>']
        if self.large.run:
            news.append(f'<a href="{self.large.address()}" target="_blank">large</a>: {escape(self.large.news())}')
        frame = f'<iframe src="{self._address}" title="the painting"></iframe>' if self._address else ""
        return f"<p>{' · '.join(news)}</p>{frame}"


def _settings(photo: str, style: str, more: float, strokes: float, colours: str, size: int, recipe: str) -> Settings:
    """The settings of what was chosen, two as powers. Raises InputError, also for what is no picture."""
    if not (photo and style):
        raise InputError("drop a photograph and a painting first")
    from nst_graph import images  # imports NumPy

    for picture in (photo, style):
        images.read(Path(picture))
    base = RECIPES[recipe].settings
    beta = float(f"{base.beta * 10**more:.3g}")
    return replace(base, beta=beta, style_scale=2.0**strokes, colours=colours, size=size, save_every=10)


def _page(studio: Studio) -> Any:
    """The page, by gradio."""
    import gradio as gr

    def press(work: Callable[..., None], *values: Any) -> None:
        try:
            work(*values)
            if len(values) > 1:
                studio.remember(*values)
        except (InputError, OSError) as error:
            raise gr.Error(re.sub(r"\S*/pictures/\w+/", "", str(error)), print_exception=False) from error

    def look(before: str | None) -> list[Any]:
        html, painting, large = studio.look(), studio.watched.is_busy(), studio.large.is_busy()
        can = (not painting, painting, studio.watched.run, studio.watched.run and not large, large)
        return [gr.skip()] * 6 if html == before else [html, *(gr.Button(interactive=bool(one)) for one in can)]

    # The file that was dropped, as it is: gradio would open it, and say nothing on the page if it is no picture.
    gr.Image.preprocess = lambda self, file: file and file.path
    with gr.Blocks(title="nst_graph studio", analytics_enabled=False, fill_width=True) as blocks, gr.Row():
        with gr.Column(min_width=300):
            with gr.Row():
                how = {"type": "filepath", "sources": ["upload"], "height": 190, "min_width": 130, "buttons": []}
                choices = [gr.Image(label=name, **how) for name in ("photograph", "painting")]
            for label in ("more photograph ← → more painting", "finer strokes ← → broader strokes"):
                choices.append(gr.Slider(-2, 2, 0, step=0.25, label=label, elem_classes="plain"))
            colours = [("the painting", "painting"), ("the photograph", "luminance")]
            choices.append(gr.Radio(colours, value="painting", label="colours of"))
            choices.append(gr.Radio([256, 512, 1024], value=512, label="size: pixels of the longer side"))
            choices.append(gr.Dropdown([*RECIPES], value="studio", label="recipe: studio is made for looks"))
            with gr.Row():
                go = [gr.Button(name, min_width=90, variant="primary") for name in ("Paint", "Stop", "Go on")]
            large = gr.Radio([1024, 2048, 4096], value=1024, label="size of the large picture")
            with gr.Row():
                go += [gr.Button(name, min_width=120) for name in ("Paint large", "Stop large")]
        with gr.Column(scale=3, min_width=320):
            shown = gr.HTML()
        works: Any = (studio.paint, studio.watched.stop, studio.go_on, studio.paint_large, studio.large.stop)
        for button, work, values in zip(go, works, (choices, [], choices, [large], []), strict=True):
            button.click(partial(press, work), values)
        blocks.load(lambda: studio.choices or [gr.skip()] * len(choices), outputs=choices)
        for event in (blocks.load, gr.Timer(1).tick):
            event(look, shown, [shown, *go], show_progress="hidden")
    return blocks


@common.command("studio", "what was painted is kept")
def main(words: list[str]) -> list[str]:
    about = "Open a page in a browser on this machine that paints the pictures dropped on it."
    parser = common.Parser(prog=places.program("studio"), description=about)
    options.add(parser, "output", about="directory of the runs (default: output)", metavar="DIR", names="")
    output = vars(parser.parse_args(words)).get("output", places.OUTPUT).absolute()
    if importlib.util.find_spec("gradio") is None:
        raise InputError("the studio needs gradio; pip install 'nst_graph[studio]'")
    (output / "pictures").mkdir(parents=True, exist_ok=True)
    page.write_gallery(output)
    # What is dropped stays beside the runs; no host but this machine is asked, nor a proxy for it.
    os.environ |= {"GRADIO_TEMP_DIR": str(output / "pictures"), "GRADIO_ANALYTICS_ENABLED": "0", "no_proxy": "*"}
    tell("loading gradio takes some seconds")
    import gradio as gr
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    studio, mount = Studio(output), Mount("/output", StaticFiles(directory=output, html=True))
    how = {"server_name": "127.0.0.1", "share": False, "quiet": True, "prevent_thread_lock": True, "ssr_mode": False}
    how |= {"footer_links": [], "run_history": False, "css": CSS, "app_kwargs": {"routes": [mount]}}
    fonts = {"font": ("system-ui", "sans-serif"), "font_mono": ("monospace",)}  # the system's
    theme = gr.themes.Default(primary_hue="blue", **fonts).set(button_primary_background_fill="*primary_700")
    _, address, _ = _page(studio).launch(theme=theme, **how)
    tell(f"open {address} in a browser; Ctrl-C ends the studio")
    try:
        while True:
            time.sleep(1)
    finally:
        with signals.ignored():
            studio.watched.stop()
            studio.large.stop()
