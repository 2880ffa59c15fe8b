"""The studio, as a painter uses it in headless Chromium; a small network is its VGG-19."""

import itertools
import json
import os
import re
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import psutil
import pytest
from conftest import command, random_picture, run_here
from processes import wait_until
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.keys import Keys
from test_page import browser, browsing, contrasts, errors, look, wait  # noqa: F401, the browser is a fixture

from nst_graph.recipes import RECIPES
from nst_graph.settings import Settings
from nst_graph.weights import sources

STUDIO = RECIPES["studio"].settings


@pytest.fixture
def pictures(tmp_path):
    """A photograph and a painting that take a while, and a file that is no picture."""
    for seed, name in enumerate(("photo.png", "painting.png")):
        iio.imwrite(tmp_path / name, random_picture(384, 512, seed).astype(np.uint8))
    (tmp_path / "text.png").write_text("no picture")
    return [tmp_path / name for name in ("photo.png", "painting.png", "text.png")]


@pytest.fixture
def studio(tmp_path, network_file):
    """A function that starts a studio as a user does, beyond a proxy that answers nobody: its process and address."""
    pytest.importorskip("gradio", reason="pip install '.[studio]'")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / sources.FILES["VGG-19"][-1]).symlink_to(network_file)
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")

    @contextmanager
    def start():
        with open(tmp_path / "said", "w+") as said:
            environment = os.environ | proxies | {"NST_GRAPH_HOME": str(tmp_path / "model")}
            words = command("studio.py", "--output", tmp_path / "output")
            process = subprocess.Popen(words, stdout=said, stderr=said, env=environment)
            try:
                wait_until(lambda: "open http" in (tmp_path / "said").read_text(), process)
                yield process, re.search(r"http://\S+", (tmp_path / "said").read_text())[0]
            finally:
                process.terminate()
                process.wait()

    return start


class Page:
    """The studio's page in a browser."""

    def __init__(self, browser, address):  # noqa: F811
        self.browser = browser
        browser.get(address)
        assert self.shows("all paintings")

    def shows(self, words, seconds=300):
        return wait(lambda: words in self.browser.find_element("tag name", "body").text, seconds)

    def press(self, name):
        button = self.browser.find_element("xpath", f"//button[normalize-space()='{name}']")
        assert wait(button.is_enabled, 300), name
        button.click()

    def drop(self, *pictures):
        for clear in self.browser.find_elements("css selector", "[aria-label='Remove Image']"):
            clear.click()
        fields = "input[data-testid=file-upload]"
        assert wait(lambda: len(self.browser.find_elements("css selector", fields)) == 2)
        for field, picture in zip(self.browser.find_elements("css selector", fields), pictures, strict=True):
            field.send_keys(str(picture))
        assert wait(lambda: len(self.browser.find_elements("css selector", "[aria-label='Remove Image']")) == 2)

    def sliders(self):
        return self.browser.find_elements("css selector", "input[type=range]")

    def run(self, script):
        """What a script returns in the frame that has the page of the run; None without one."""
        try:
            self.browser.switch_to.frame(self.browser.find_element("tag name", "iframe"))
            return self.browser.execute_script(script)
        except (NoSuchElementException, StaleElementReferenceException):
            return None
        finally:
            self.browser.switch_to.default_content()

    def frame(self):
        """The address of the page of the run."""
        return self.browser.find_element("tag name", "iframe").get_attribute("src")

    def says(self, *states):
        """Whether the page of the run comes to say one of these."""
        return wait(lambda: self.run("return document.getElementById('state')?.textContent") in states, 300)

    def paints(self):
        """Whether it comes to show a picture of a painting that goes on, or has by now come to its end."""
        width = "return document.getElementById('picture').naturalWidth"
        return self.says("painting", "finished") and wait(lambda: self.run(width) == 512, 300)


def records(tmp_path):
    """What the runs say of themselves, in the order of their beginnings."""
    files = sorted((tmp_path / "output").glob("*/run.json"), key=lambda file: file.parent.name[-15:])
    return [json.loads(file.read_text()) for file in files]


def state(record):
    return record["outcome"]["state"]


@browsing
@pytest.mark.thorough
def test_as_a_painter_does(studio, browser, pictures, tmp_path):  # noqa: F811
    """Paint, stop, go on, change the balance and go on from there, paint large; each is a run with its page."""
    with studio() as (_, address):
        assert address.startswith("http://127.0.0.1:")
        look(browser, address, 1400)
        page = Page(browser, address)
        assert page.shows("drop two pictures, then press Paint")
        page.press("Paint")
        assert page.shows("drop a photograph and a painting first")
        page.drop(pictures[2], pictures[1])
        page.press("Paint")
        assert page.shows("text.png: not a whole picture that can be read") and records(tmp_path) == []
        page.drop(*pictures[:2])
        page.press("Paint")
        assert page.paints()
        page.press("Stop")
        assert page.says("interrupted")
        page.press("Go on")
        assert page.paints()
        (first,) = records(tmp_path)
        assert Settings(**first["settings"]) == replace(STUDIO, size=512, save_every=10)
        page.sliders()[0].send_keys(Keys.ARROW_RIGHT * 4)
        page.press("Go on")
        assert wait(lambda: len(records(tmp_path)) == 2, 300)
        first, second = records(tmp_path)
        assert second["settings"]["beta"] == 10 * STUDIO.beta and second["init"]["path"].endswith("final.png")
        assert state(first) == "interrupted" and page.says("painting")

        # Another tab has what was chosen, and the same painting.
        browser.switch_to.new_window("tab")
        other = Page(browser, address)
        assert other.paints() and other.sliders()[0].get_attribute("value") == "1"
        assert wait(lambda: len(browser.find_elements("css selector", "[aria-label='Remove Image']")) == 2)
        other.press("Paint large")
        assert wait(lambda: len(records(tmp_path)) == 3 and state(records(tmp_path)[2]) == "finished", 300)
        third = records(tmp_path)[2]
        assert (third["width"], third["height"], third["settings"]["beta"]) == (1024, 768, second["settings"]["beta"])
        assert page.shows("large: not painting now")
        hosts = "return performance.getEntriesByType('resource').map(entry => new URL(entry.name).hostname)"
        assert {*browser.execute_script(hosts), *other.run(hosts)} == {"127.0.0.1"}
        assert [error for error in errors(browser) if error["level"] == "SEVERE"] == []
        browser.close()
        browser.switch_to.window(browser.window_handles[0])
        assert [entry.is_file() for entry in (tmp_path / "output").glob("*-512-*/index.html")] == [True, True]


@browsing
@pytest.mark.thorough
def test_killed(studio, browser, pictures, tmp_path):  # noqa: F811
    """Of a painting that is killed the page says so; a studio that is killed paints no more, and another goes on."""
    with studio() as (process, address):
        page = Page(browser, address)
        page.drop(*pictures[:2])
        page.press("Paint")
        assert page.paints() and wait(lambda: any((tmp_path / "output").glob("*/state.npz")), 300)
        for child in psutil.Process(process.pid).children():
            if "spawn_main" in " ".join(child.cmdline()):
                child.kill()
        assert page.shows("the painting was killed (status -9); what was saved is kept")
        before = page.frame()
        page.press("Go on")
        assert wait(lambda: page.frame() != before, 300) and page.paints()
        painters = psutil.Process(process.pid).children()
        process.kill()
        psutil.wait_procs(painters, 300)
        (record,) = records(tmp_path)
        assert state(record) == "interrupted"
    with studio() as (process, address):
        page = Page(browser, address)
        assert page.says("interrupted")
        page.press("Go on")
        assert page.says("painting")
        process.send_signal(signal.SIGINT)
        assert process.wait(100) == 130
        (record,) = records(tmp_path)
        assert state(record) in ("interrupted", "finished")
        assert run_here("paint.py", "--resume", *(tmp_path / "output").glob("*-512-*"), "--quiet").returncode == 0


@browsing
@pytest.mark.thorough
def test_on_every_screen(studio, browser, pictures, tmp_path):  # noqa: F811
    """Nothing is wider than the screen, and no text on it is hard to read."""
    with studio() as (_, address):
        page = Page(browser, address)
        page.drop(*pictures[:2])
        page.press("Paint")
        assert page.says("painting")
        for width, scheme in itertools.product((390, 1400), ("light", "dark")):
            look(browser, address, width, scheme)
            assert page.says("painting", "finished")
            assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
            view = page.run("return document.getElementById('view').clientWidth")
            assert view > (200 if width == 390 else 600)
            assert min(contrasts(browser)) >= 4.5


def test_what_it_needs(without, tmp_path):
    without("gradio")
    done = run_here("studio.py", "--output", tmp_path / "output")
    assert (done.returncode, done.stdout) == (2, "") and "pip install 'nst_graph[studio]'" in done.stderr
    assert not (tmp_path / "output").exists()
