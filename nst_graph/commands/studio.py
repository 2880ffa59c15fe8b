"""The command scripts/studio.py: a page on this machine that paints the two pictures dropped on it."""

import importlib.util
import os
import subprocess
import sys
import time
import urllib.parse
from base64 import b64encode
from dataclasses import replace
from functools import partial
from html import escape
from itertools import chain
from pathlib import Path
from threading import Event, Thread
from typing import Any

import nst_graph
from nst_graph import RECIPES, InputError, places
from nst_graph.commands import common
from nst_graph.errors import Pause
from nst_graph.news import tell
from nst_graph.runs import page
from nst_graph.settings import COLOURS


class Studio:
    """One painting at a time, in a thread that a closed page does not end; large ones in processes of their own."""

    def __init__(self, output: Path) -> None:
        self.output, self._run, self._picture, self._news = output, output, b"", "Drop two pictures, then paint."
        self._stop, self._thread = Event(), Thread()

    def paint(self, kind: str, photo: Any, style: Any, recipe: str, more: float, *choices: Any) -> None:
        """Begin a run: "Paint", or "Go on" and "Paint large" from the picture so far. Raises InputError."""
        if self._thread.is_alive():
            raise InputError("a painting is under way; stop it first")
        if not (photo and style):
            raise InputError("drop a photograph and a painting first")
        base, (strokes, colours, size, large) = RECIPES[recipe].settings, choices
        settings = replace(base, beta=base.beta * 10**more, style_scale=strokes, colours=colours, size=size)
        if kind != "Paint":
            if not (start := self._run / "final.png").exists():
                raise InputError("there is no picture to go on from; paint one first")
            settings = replace(settings, init=str(start), scales=(), scale_iterations=())
        run = self.output / f"{Path(photo).stem[:50]}-{time.strftime('%Y-%m-%d-%H%M%S')}"
        if kind == "Paint large":
            options = page.fewest_options(replace(settings, size=large, enlarge=True, iterations=50)) or []
            words = [photo, style, *chain(*options), "--output", f"{run}-large", "--quiet"]
            subprocess.Popen([sys.executable, "-m", "nst_graph", *words], cwd=places.ROOT, start_new_session=True)
        else:
            self._run, self._news = run, "TensorFlow is loading."
            self._stop.clear()
            self._thread = Thread(target=self._work, args=(photo, style, settings), daemon=True)
            self._thread.start()

    def _work(self, *job: Any) -> None:
        from nst_graph import images

        def observe(step: Any) -> None:
            self._picture = images.to_png(step.picture.astype("float32"))
            self._news = f"Iteration {step.iteration} of {step.total_iterations}."
            if self._stop.is_set():
                raise Pause

        try:
            nst_graph.paint(*job, output=self._run, observers=[observe])
            self._news += " Finished."
        except Pause:
            self._news += " Stopped."
        except common.FAILURES as error:
            self._news = common.remedied(error)

    def stop(self) -> None:
        """End the painting at its next step, and wait until it is saved."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> str:
        """The news and the picture so far, with a link to the page of its run, as HTML."""
        picture = f'<img alt="the picture so far" src="data:image/png;base64,{b64encode(self._picture).decode()}">'
        link = f'<a href="output/{urllib.parse.quote(self._run.name)}/" target="_blank">its page</a>'
        return f"<p>{escape(self._news)} {link}</p>{picture}" if self._picture else escape(self._news)

    def blocks(self) -> Any:
        """The page, by gradio."""
        import gradio as gr

        def begin(*choices: Any) -> None:
            try:
                self.paint(*choices)
            except InputError as error:
                raise gr.Error(str(error), print_exception=False) from None

        with gr.Blocks(title="nst_graph studio", analytics_enabled=False) as blocks, gr.Row():
            with gr.Column():
                with gr.Row():
                    photo, style = (
                        gr.Image(label=name, type="filepath", image_mode=None) for name in ("photograph", "painting")
                    )
                choices = [
                    photo,
                    style,
                    gr.Dropdown([*RECIPES], value="studio", label="recipe"),
                    gr.Slider(-2, 2, 0, step=0.25, label="balance: below 0 more photograph, above more painting"),
                    gr.Slider(0.25, 2, 1, step=0.05, label="size of strokes"),
                    gr.Dropdown([*COLOURS], value="painting", label="colours"),
                    gr.Slider(64, 1024, 512, step=64, label="size"),
                    gr.Slider(512, 4096, 1024, step=128, label="size of the large picture"),
                ]
                with gr.Row():
                    for kind in ("Paint", "Go on", "Paint large"):
                        gr.Button(kind).click(partial(begin, kind), choices)
                    gr.Button("Stop").click(self.stop)
                gr.HTML('<a href="output/" target="_blank">All paintings</a>')
            shown = gr.HTML(self.look)
            gr.Timer(1).tick(self.look, outputs=shown, show_progress="hidden")
        return blocks


@common.command("studio", "what was painted is kept")
def main(words: list[str]) -> list[str]:
    about = "Open a page in a browser on this machine that paints the pictures dropped on it."
    parser = common.Parser(prog=places.program("studio"), description=about)
    parser.add_argument(
        "--output", metavar="DIR", type=common.file_path, help="directory of the runs (default: output)"
    )
    output = vars(parser.parse_args(words)).get("output", places.OUTPUT).absolute()
    if importlib.util.find_spec("gradio") is None:
        raise InputError("the studio needs gradio; pip install 'nst_graph[studio]'")
    os.environ["GRADIO_TEMP_DIR"] = str(output / "pictures")  # what is dropped stays beside the runs
    output.mkdir(parents=True, exist_ok=True)
    page.write_gallery(output)
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    studio = Studio(output)
    routes = {"routes": [Mount("/output", StaticFiles(directory=output, html=True))]}
    _, address, _ = studio.blocks().launch(
        server_name="127.0.0.1", share=False, quiet=True, prevent_thread_lock=True, app_kwargs=routes
    )
    tell(f"open {address} in a browser; Ctrl-C ends the studio")
    try:
        while True:
            time.sleep(1)
    finally:
        studio.stop()
