"""The page of a run and the gallery, in headless Chromium, from files, without a network."""

import json
import shutil

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import random_picture

import nst_graph
from nst_graph.errors import Pause
from nst_graph.recipes import Settings
from nst_graph.runs import curves, page

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
browsing = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="apt install chromium chromium-driver")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, network_file):
    """A finished run, one still painting, and one of a hostile name."""
    directory = tmp_path_factory.mktemp("runs")
    hostile = "<script>alert(1)<.png"
    for name, seed in (("photo.png", 1), ("painting.png", 2), (hostile, 3)):
        iio.imwrite(directory / name, random_picture(48, 64, seed).astype(np.uint8))
    settings = Settings(iterations=30, save_every=5)

    def paint(content, name, observers=()):
        nst_graph.paint(
            directory / content, directory / "painting.png", settings, weights_file=network_file,
            output=directory / name, observers=observers,
        )  # fmt: skip

    paint("photo.png", "finished")
    paint(hostile, "hostile <script> <b>")

    def pause(step):
        if step.iteration == 12:
            raise Pause

    with pytest.raises(Pause):
        paint("photo.png", "painting", [pause])
    record = json.loads((directory / "painting" / "run.json").read_text())
    record["outcome"] = {"state": "painting"}  # as a killed run leaves it
    (directory / "painting" / "run.json").write_text(json.dumps(record))
    (directory / "painting" / "final.png").unlink()
    (directory / "painting" / "index.html").write_bytes(page.of_run(directory / "painting"))
    page.write_gallery(directory)
    return directory


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tmp_path_factory.mktemp("profile")
    for word in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", f"user-data-dir={profile}"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def look(browser, file, width=1200, scheme="light"):
    browser.set_window_size(width, 1000)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(file.as_uri())


def errors(browser):
    return browser.get_log("browser")


def loaded(browser):
    return browser.execute_script(
        "return [...document.images].filter(i => !i.hidden).map(i => i.complete && i.naturalWidth > 0)"
    )


@browsing
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [500, 1200])
def test_a_finished_run(browser, runs, width, scheme):
    look(browser, runs / "finished" / "index.html", width, scheme)
    assert loaded(browser) == [True] * 3  # the painting, content, style
    assert "photo.png in the style of painting.png" in browser.title
    text = browser.find_element("tag name", "body").text
    for word in ("finished", "iteration 30 of 30", "64 x 48 pixels", "the limit of iterations is reached", "alpha"):
        assert word in text
    # No wider than the window, and readable: ink and ground far apart.
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    colours = browser.execute_script(
        "const s = getComputedStyle(document.body);"
        "return [s.color, s.backgroundColor].map(c => c.match(/\\d+/g).map(Number))"
    )
    ink, ground = (sum(colour[:3]) / 3 for colour in colours)
    assert abs(ink - ground) > 150 and (ground < 80) == (scheme == "dark")
    assert errors(browser) == []


@browsing
def test_the_slider(browser, runs):
    from selenium.webdriver.common.keys import Keys

    look(browser, runs / "finished" / "index.html")
    slider = browser.find_element("id", "slider")
    label = browser.find_element("id", "label")
    source = lambda: browser.find_element("id", "picture").get_attribute("src")  # noqa: E731
    assert label.text == "end: iteration 30" and "final.png" in source()
    slider.send_keys(Keys.HOME)
    assert label.text == "iteration 0" and "iteration-00000.png" in source()
    slider.send_keys(Keys.ARROW_RIGHT)
    assert label.text == "iteration 5" and "iteration-00005.png" in source()
    browser.refresh()  # as the page does by itself while a run goes on
    assert browser.find_element("id", "label").text == "iteration 5"
    browser.find_element("id", "slider").send_keys(Keys.END)
    browser.refresh()
    assert browser.find_element("id", "label").text == "end: iteration 30"
    assert all(loaded(browser)) and errors(browser) == []


@browsing
def test_the_curves_are_the_losses(browser, runs):
    """Points against losses.csv, through the axis' own labels."""
    import csv

    look(browser, runs / "finished" / "index.html")
    with (runs / "finished" / "losses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    labels = browser.execute_script(
        "return [...document.querySelectorAll('#chart text')].filter(t => t.textContent.startsWith('1e'))"
        ".map(t => [Number(t.textContent), Number(t.getAttribute('y')) - 4])"
    )
    (low, bottom), (high, top) = labels[0], labels[-1]
    for name in ("total", "content", "style"):
        points = browser.find_element("css selector", f"polyline[data-name={name}]").get_attribute("points").split()
        assert len(points) == len(rows) == 31
        for row, point in zip(rows, points, strict=True):
            height = (bottom - float(point.split(",")[1])) / (bottom - top)
            value = low * (high / low) ** height
            assert value == pytest.approx(float(row[name]), rel=0.05)
    key = browser.find_element("id", "key").text
    assert "at iteration 30" in key and f"{float(rows[-1]['total']):.4g}"[:4] in key


@browsing
def test_a_run_that_goes_on_refreshes(browser, runs, monkeypatch):
    look(browser, runs / "painting" / "index.html")
    assert "12/30" in browser.title and "left" in browser.find_element("id", "state").text
    browser.execute_script("document.body.dataset.old = '1'")
    import time

    time.sleep(6)
    assert browser.execute_script("return document.body.dataset.old ?? null") is None
    look(browser, runs / "finished" / "index.html")
    browser.execute_script("document.body.dataset.old = '1'")
    time.sleep(6)
    assert browser.execute_script("return document.body.dataset.old ?? null") == "1"


@browsing
@pytest.mark.parametrize("width", [400, 1200])
def test_the_gallery(browser, runs, width):
    look(browser, runs / "index.html", width)
    assert browser.find_element("id", "title").text == "3 runs"
    assert loaded(browser) == [True] * 3
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert errors(browser) == []
    for card in browser.find_elements("css selector", "main a"):
        assert card.text
    browser.find_element("css selector", "a[href^=finished]").click()
    assert "photo.png in the style of" in browser.title


@browsing
def test_names_are_text(browser, runs):
    look(browser, runs / "hostile <script> <b>" / "index.html")
    assert browser.title.startswith("<script>alert(1)<.png in the style of")
    assert all(loaded(browser)) and errors(browser) == []


def test_without_a_browser(runs):
    """One file, no address of any host, and no name as markup."""
    for file in runs.glob("*/index.html"):
        text = file.read_text()
        assert "<script>alert" not in text and 'src="http' not in text and "@import" not in text
        addresses = {word for word in text.split('"') if word.startswith("http")}
        assert addresses <= {"http://www.w3.org/2000/svg"}
    data = (runs / "finished" / "index.html").read_text().split('application/json">')[1].split("</script>")[0]
    shown = json.loads(data)
    assert [picture["label"] for picture in shown["pictures"]][:2] == ["iteration 0", "iteration 5"]
    assert shown["losses"]["iteration"] == list(range(31))


def test_long_runs_make_short_pages(tmp_path):
    rows = "".join(f"{n},{n},{n / 2:.3f},{1e6 / (n + 1)},1,2\n" for n in range(20001))
    (tmp_path / "losses.csv").write_text("iteration,evaluations,seconds,content,style,total\n" + rows)
    losses = page._thinned(curves.read(tmp_path))
    assert len(losses["iteration"]) < 450 and losses["iteration"][-1] == 20000
    assert losses["iteration"] == sorted(losses["iteration"])
    assert page._left(losses, 20100) == pytest.approx(50)
