"""The studio, in headless Chromium: two pictures dropped, painted, stopped, gone on from, and painted large."""

import json
import os
import re
import signal
import subprocess

import pytest
from conftest import ROOT, command, run_here
from processes import wait_until
from test_page import browser, browsing, is_legible, wait  # noqa: F401, the browser is a fixture

from nst_graph.weights import sources


@pytest.fixture
def studio(tmp_path, network_file):
    """The studio as a user starts it, and its address; a small network is its VGG-19."""
    pytest.importorskip("gradio", reason="pip install '.[studio]'")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / sources.FILES["VGG-19"][-1]).symlink_to(network_file)
    words = command("studio.py", "--output", tmp_path / "output")
    with open(tmp_path / "lines", "w") as lines:
        environment = os.environ | {"NST_GRAPH_HOME": str(tmp_path / "model")}
        process = subprocess.Popen(words, stdout=lines, stderr=lines, env=environment)
    try:
        wait_until(lambda: "open http" in (tmp_path / "lines").read_text(), process)
        yield process, re.search(r"http://\S+", (tmp_path / "lines").read_text())[0]
    finally:
        process.kill()
        process.wait()


def records(directory):
    """What the runs there say of themselves, in the order of their beginnings."""
    files = sorted(directory.glob("*/run.json"), key=lambda file: file.parent.name)
    return [json.loads(file.read_text()) for file in files]


@browsing
def test_two_pictures_are_painted(studio, browser, pair, tmp_path):  # noqa: F811
    from selenium.webdriver.common.keys import Keys

    process, address = studio
    output = tmp_path / "output"
    assert address.startswith("http://127.0.0.1:")

    def press(name):
        browser.find_element("xpath", f"//button[normalize-space()='{name}']").click()

    def shows(words):
        return wait(lambda: words in browser.find_element("tag name", "body").text, 100)

    def slide(label, value):
        box = browser.find_element("css selector", f"input[type=number][aria-label*='{label}']")
        box.send_keys(Keys.CONTROL + "a")
        box.send_keys(str(value), Keys.ENTER)

    screen = {"width": 1400, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get(address)
    assert shows("Drop two pictures")
    press("Paint")
    assert shows("drop a photograph and a painting first")  # in a line, and nothing is painted
    press("Go on")
    for field, picture in zip(browser.find_elements("css selector", "input[type=file]"), pair, strict=True):
        field.send_keys(str(picture))
    assert wait(lambda: len(browser.find_elements("css selector", "[data-testid=image] img")) == 2)
    slide("size of strokes", 0.5)
    slide("size", 64)
