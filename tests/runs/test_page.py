"""The page of a run and the gallery, in headless Chromium, from files, without a network."""

import itertools
import json
import math
import os
import shlex
import shutil
import time
import urllib.parse
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import loss_rows, random_picture, run_here, stop_at

import nst_graph
from nst_graph import places
from nst_graph.errors import Pause
from nst_graph.runs import losses, page
from nst_graph.settings import Settings

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
browsing = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="apt install chromium chromium-driver")


@pytest.fixture(scope="module")
def painted(tmp_path_factory, network_file):
    """A finished run, one still painting, one interrupted, one that failed, and one of a hostile name."""
    directory = tmp_path_factory.mktemp("runs")
    hostile = "<script>alert(1)<.png"
    for name, seed in (("photo.png", 1), ("painting.png", 2), (hostile, 3)):
        iio.imwrite(directory / name, random_picture(48, 64, seed).astype(np.uint8))
    settings = Settings(iterations=30, save_every=5, timelapse="gif")

    def paint(content, name, observers=(), **options):
        nst_graph.paint(
            directory / content, directory / "painting.png", settings, weights_file=network_file,
            output=directory / name, observers=observers, **options,
        )  # fmt: skip

    page.write_gallery(directory)
    paint("photo.png", "finished")
    paint(hostile, "hostile <script> <b>")
    with pytest.raises(KeyboardInterrupt):
        paint("photo.png", "interrupted", [stop_at(7, KeyboardInterrupt)])
    with pytest.raises(RuntimeError):
        paint("photo.png", "failed", [stop_at(3, RuntimeError("a reason: of its own"))])
    with pytest.raises(Pause):
        paint("photo.png", "painting", [stop_at(12)])
    record = json.loads((directory / "painting" / "run.json").read_text())
    record["outcome"] = {"state": "painting"}  # as a killed run leaves it
    (directory / "painting" / "run.json").write_text(json.dumps(record))
    first = directory / "first"  # as a run is before its first picture
    shutil.copytree(directory / "painting", first)
    for file in (*first.glob("iteration-*"), first / "losses.csv"):
        file.unlink()
    return directory


@pytest.fixture
def runs(painted):
    """Them, of which some are painting at this moment."""
    for name in ("painting", "first"):
        (painted / name / "run.json").touch()
        (painted / name / "index.html").write_bytes(page.of_run(painted / name))
    page.write_gallery(painted)
    return painted


def told(file):
    """The data of a page."""
    return json.loads(file.read_text(encoding="utf-8").split('application/json">')[1].split("</script>")[0])


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


def look(browser, file, width=1200, scheme="light", place=""):
    screen = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}  # a window is 500 wide at least
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(file if isinstance(file, str) else file.as_uri() + place)


def errors(browser):
    return browser.get_log("browser")


def loaded(browser):
    return browser.execute_script(
        "return [...document.images].filter(i => i.checkVisibility()).map(i => i.complete && i.naturalWidth > 0)"
    )


def is_legible(browser):
    """Nothing is wider than the screen, no text is cut off or hard to read, and nothing is amiss."""
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    cut = "return [...document.querySelectorAll('button')].filter(b => b.scrollWidth > b.clientWidth).map(b => b.id)"
    assert browser.execute_script(cut) == []
    assert (
        browser.execute_script(
            "return [...document.querySelectorAll('button')].filter(b => b.clientHeight > 40).map(b => b.textContent)"
        )
        == []
    )  # a word on two lines
    assert min(contrasts(browser)) >= 4.5  # WCAG AA for text
    assert errors(browser) == []
    return True


#: The screens that each page is tried on: a telephone's, a tablet's, a desk's; by day and by night.
screens = pytest.mark.parametrize(("width", "scheme"), [*itertools.product([390, 800, 1400], ["light", "dark"])])


@browsing
@screens
def test_a_finished_run(browser, runs, width, scheme):
    look(browser, runs / "finished" / "index.html", width, scheme)
    assert loaded(browser) == [True] * 4  # the painting, the photograph over it, photograph, style
    assert "photo.png in the style of painting.png" in browser.title
    captions = [caption.text for caption in browser.find_elements("tag name", "figcaption")]
    assert captions == ["photograph: photo.png", "style: painting.png"]
    assert "30 iterations at 64 × 48 in float32" in browser.page_source
    text = browser.find_element("tag name", "body").text
    for word in ("finished", "iteration 30 of 30", "64 × 48 pixels", "the limit of iterations is reached", "× alpha"):
        assert word in text
    seconds = float(loss_rows(runs / "finished")[-1]["seconds"])
    assert f"took {round(seconds)} s" in text or seconds > 59
    assert browser.execute_script(OVERLAPS) == [] and is_legible(browser)


#: The texts of the chart whose boxes overlap.
OVERLAPS = """
    const texts = [...document.querySelectorAll("#chart text")].map(t => [t.textContent, t.getBoundingClientRect()]);
    return texts.flatMap(([a, p], i) => texts.slice(i + 1).filter(([, q]) =>
        p.left < q.right && q.left < p.right && p.top < q.bottom && q.top < p.bottom).map(([b]) => [a, b]));
"""
#: The colours of each text, and of the ground that it is on.
COLOURS = """
    const clear = "rgba(0, 0, 0, 0)", ground = node => {
        while (node && getComputedStyle(node).backgroundColor === clear) node = node.parentElement;
        return getComputedStyle(node ?? document.body).backgroundColor;
    };
    return [...document.body.querySelectorAll("*")].filter(node => node.checkVisibility()
        && node.tagName !== "SCRIPT" && [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim()))
        .map(node => [getComputedStyle(node)[node instanceof SVGElement ? "fill" : "color"], ground(node)]
            .map(colour => colour.match(/[0-9.]+/g).slice(0, 3).map(Number)));
"""


def contrasts(browser):
    """The contrast of each text with its ground, by WCAG 2.1."""

    def luminance(colour):
        parts = np.array(colour) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ (0.2126, 0.7152, 0.0722)

    pairs = [sorted(map(luminance, pair)) for pair in browser.execute_script(COLOURS)]
    assert len(pairs) > 10
    return [(light + 0.05) / (dark + 0.05) for dark, light in pairs]


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
def test_the_photograph_over_the_painting(browser, runs):
    from selenium.webdriver.common.keys import Keys

    look(browser, runs / "finished" / "index.html")
    shown = "return getComputedStyle(document.getElementById('over')).clipPath"
    assert browser.execute_script(shown) == "inset(0px 100% 0px 0px)"
    cut = browser.find_element("id", "cut")
    cut.send_keys(Keys.END)
    assert browser.execute_script(shown) in ("inset(0px)", "inset(0px 0% 0px 0px)")
    boxes = [browser.find_element("id", name).rect for name in ("picture", "photograph")]
    assert boxes[0] == boxes[1] and boxes[0]["width"] / boxes[0]["height"] == pytest.approx(64 / 48, abs=0.01)
    cut.send_keys(Keys.HOME)


@browsing
def test_pictures_in_full_size_and_links(browser, runs):
    look(browser, runs / "finished" / "index.html")
    assert "final.png" in browser.find_element("id", "label").get_attribute("href")
    hrefs = [link.get_attribute("href") for link in browser.find_elements("css selector", "#links a")]
    names = ["index.html", "final.png", "timelapse.gif", "losses.csv", "run.json"]
    assert [href.rsplit("/", 1)[1] for href in hrefs] == names
    browser.find_element("link text", "all paintings").click()
    assert browser.find_element("id", "title").text == f"Paintings in {runs.name}"


@browsing
def test_before_the_first_picture(browser, runs):
    """A place for it, and no broken image."""
    look(browser, runs / "first" / "index.html")
    assert loaded(browser) == [True] * 2  # photograph, style
    for name in ("picture", "over"):
        assert not browser.find_element("id", name).is_displayed()
    assert browser.find_element("id", "none").is_displayed() and min(contrasts(browser)) >= 4.5
    assert browser.find_element("id", "slider").get_property("disabled")
    assert errors(browser) == []


@browsing
def test_an_interrupted_run_says_how_to_go_on(browser, runs):
    look(browser, runs / "interrupted" / "index.html")
    assert shlex.split(browser.find_element("css selector", "#resume code").text) == [
        "python", "scripts/paint.py", "--resume", str((runs / "interrupted").resolve())
    ]  # fmt: skip
    browser.find_element("css selector", "#resume button").click()
    assert browser.find_element("css selector", "#resume button").text == "copied"
    look(browser, runs / "finished" / "index.html")
    assert browser.find_elements("css selector", "#resume code") == []


@browsing
@pytest.mark.parametrize("width", [390, 1200])
def test_the_curves_are_the_losses(browser, runs, width):
    """Points against losses.csv and the settings' weights, through the axes' own labels."""
    look(browser, runs / "finished" / "index.html", width)
    rows = loss_rows(runs / "finished")
    labels = browser.execute_script(
        "return [...document.querySelectorAll('#chart .tick')]"
        ".map(t => [Number(t.textContent), Number(t.getAttribute('y')) - 4])"
    )
    (low, bottom), (high, top) = labels[0], labels[-1]
    for name, weight in {"total": 1, "content": 1, "style": 1000}.items():
        points = browser.find_element("css selector", f"polyline[data-name={name}]").get_attribute("points").split()
        assert len(points) == len(rows) == 31
        for row, point in zip(rows, points, strict=True):
            height = (bottom - float(point.split(",")[1])) / (bottom - top)
            value = low * (high / low) ** height
            assert value == pytest.approx(weight * float(row[name]), rel=0.05)
    key = browser.find_element("id", "key").text
    assert "at iteration 30" in key and f"{float(rows[-1]['total']):.4g}"[:4] in key
    assert "content × alpha" in key and f"style × beta {1000 * float(rows[-1]['style']):.4g}"[:16] in key
    ticks = browser.execute_script(
        "return [...document.querySelectorAll('#chart text:not(.tick, .beyond)')].map(t => t.textContent)"
    )
    steps = np.diff([int(text) for text in ticks if text != "iteration"])
    assert len({*steps}) == 1 and steps[0] in (1, 2, 5, 10)


@browsing
def test_a_run_that_goes_on_is_followed(browser, runs):
    """News are shown in the same document: what has the focus keeps it, and no picture is loaded anew."""
    file = runs / "painting" / "index.html"
    look(browser, file)
    assert "12/30" in browser.title and "left" in browser.find_element("id", "facts").text
    browser.execute_script("document.body.dataset.old = '1'; document.getElementById('slider').focus()")
    browser.execute_script("document.images[0].addEventListener('load', () => document.body.dataset.loaded = '1')")
    before = file.read_text(encoding="utf-8")
    assert '"last": 30' in before
    file.write_text(before.replace('"last": 30', '"last": 31'), encoding="utf-8")
    deadline = time.monotonic() + 20
    while "12/31" not in browser.title and time.monotonic() < deadline:
        time.sleep(0.2)
    file.write_text(before, encoding="utf-8")
    assert "12/31" in browser.title and browser.execute_script("return history.length") < 50
    assert browser.execute_script("return [document.body.dataset.old, document.body.dataset.loaded ?? null]") == [
        "1", None
    ]  # fmt: skip
    assert browser.switch_to.active_element.get_attribute("id") == "slider"
    assert browser.find_elements("tag name", "iframe") == [] and errors(browser) == []


@pytest.mark.thorough
@browsing
def test_a_film_that_goes_on_is_followed(browser, runs, tmp_path):
    """Its frames so far, of which the latest is shown, until another is chosen."""
    record = json.loads((runs / "painting" / "run.json").read_text())
    film = {"start": 0, "stop": None, "every": 1, "rate": None, "frames": 9, "seconds": 0.72, "shots": [9]}
    film |= {"iterations": 100, "steadiness": 0.3, "back": [1], "alone": False}
    record |= {"content": record["content"] | {"path": "clip.mp4"}, "film": film}
    (tmp_path / "run.json").write_text(json.dumps(record))
    file, now = tmp_path / "index.html", time.time()

    def write_frames(*numbers):
        for number in numbers:
            frame = tmp_path / f"frame-{number:05}.png"
            iio.imwrite(frame, random_picture(48, 64, number).astype(np.uint8))
            os.utime(frame, (now, now + 10 * number))
        file.write_bytes(page.of_run(tmp_path))

    write_frames(1, 2, 3)
    look(browser, file)
    assert browser.title == "3/9: clip.mp4 in the style of painting.png"
    assert "frame 3 of 9" in browser.find_element("id", "facts").text
    assert "about 1 min 0 s left" in browser.find_element("id", "facts").text
    assert "film.mp4" not in browser.find_element("id", "links").text
    for painted, chosen, frame in ((4, None, 4), (5, 2, 2)):
        if chosen:
            event = "slider.dispatchEvent(new Event('input'))"
            browser.execute_script(
                f"const slider = document.getElementById('slider'); slider.value = {chosen - 1}; {event}"
            )
        write_frames(painted)
        assert wait(lambda painted=painted: f"{painted}/9" in browser.title, 20)
        assert browser.find_element("id", "label").text == f"frame {frame}"
        assert f"frame-{frame:05}.png" in browser.find_element("id", "picture").get_attribute("src")
    browser.find_element("id", "play").click()
    assert wait(lambda: browser.find_element("id", "label").text == "frame 5")
    assert wait(lambda: browser.find_element("id", "label").text == "frame 1")
    browser.find_element("id", "play").click()
    assert browser.find_element("id", "play").text == "play" and is_legible(browser)


@browsing
@screens
def test_the_page_of_a_film(browser, runs, tmp_path, pictures_dir, network_file, width, scheme):
    """Clip, painting, settings, the command that paints it again, and a button that is whole."""
    pytest.importorskip("cv2", reason="needs the extra video")
    pytest.importorskip("av", reason="needs the extra video")
    clip, output = tmp_path / "clip", runs.parent / "film"
    if not output.exists():
        clip.mkdir()
        for number in range(3):
            iio.imwrite(clip / f"{number}.png", random_picture(48, 64, number).astype(np.uint8))
        few = ["--first-iterations", 3, "--iterations", 2, "--back", 1, 2, "--output", output]
        run = run_here("paint_video.py", clip, pictures_dir / "painting.png", "--weights", network_file, *few)
        assert run.returncode == 0, run.stderr
    look(browser, output / "index.html", width, scheme)
    assert loaded(browser) == [True] * 3  # a frame, the clip's first, the style
    captions = [caption.text for caption in browser.find_elements("css selector", "#sources figcaption")]
    assert captions == ["clip: clip", "style: painting.png"]
    text = browser.find_element("tag name", "body").text
    for words in ("finished", "frame 3 of 3", "first-iterations\n3", "back\n1 2", "film.mp4", "scripts/paint_video.py"):
        assert words in text
    assert not browser.find_element("id", "curves").is_displayed()
    play = browser.find_element("id", "play")
    assert play.is_displayed() and play.text == "play" and is_legible(browser)


@browsing
@screens
def test_the_gallery(browser, runs, width, scheme):
    look(browser, runs / "index.html", width, scheme)
    assert browser.title == f"2 painting, 1 failed, 1 interrupted, 2 finished · {runs.name}"
    assert browser.find_element("id", "title").text == f"Paintings in {runs.name}"
    assert browser.find_element("id", "about").text.startswith("6 paintings")
    browser.execute_script("for (const image of document.images) image.loading = 'eager'")
    assert wait(lambda: loaded(browser) == [True] * 5)  # one has no picture yet
    assert {*browser.execute_script("return [...document.images].map(i => getComputedStyle(i).objectFit)")} == {
        "contain"
    }
    cards = {
        card.find_element("css selector", "h2 a").get_attribute("href").split("/")[-2]: card
        for card in articles(browser)
    }
    assert all("in the style of painting.png" in card.text for card in cards.values())
    assert sum("no picture yet" in card.text for card in cards.values()) == 1
    for name, words in {
        "painting": ("painting · iteration 12 of 30", "so far", "left"),
        "finished": ("finished · iteration 30 of 30", "took", "final.png"),
        "interrupted": ("interrupted · iteration 7 of 30", "--resume"),
        "failed": ("failed · iteration 3 of 30", "a reason: of its own", "--resume"),
    }.items():
        assert all(word in cards[name].text for word in words), cards[name].text
    colours = {
        name: cards[name].find_element("css selector", ".state").value_of_css_property("color") for name in cards
    }
    assert len({colours[name] for name in ("painting", "finished", "interrupted", "failed")}) == 4
    written = time.strftime("%-d %b %Y, %H:%M", time.localtime((runs / "finished" / "run.json").stat().st_mtime))
    assert written.replace("Sep ", "Sept ") in cards["finished"].text
    assert is_legible(browser)
    browser.find_element("css selector", "h2 a[href^=finished]").click()
    assert "photo.png in the style of" in browser.title


def articles(browser):
    return browser.find_elements("css selector", "main article")


@browsing
def test_the_order_of_the_gallery(browser, runs):
    """By each of what is shown, both ways, against the files; it is kept while the page is open."""
    look(browser, runs / "index.html")
    told_runs = {run["place"]: run for run in told(runs / "index.html")["runs"]}
    states = ["finished", "interrupted", "failed", "painting"]  # from the last to the first
    keys = {
        "date": lambda run: run["updated"],
        "duration": lambda run: run["seconds"],
        "state": lambda run: states.index(run["state"].split(":")[0]),
        "progress": lambda run: run["now"] / run["last"],
        "time left": lambda run: -1 if run["state"] != "painting" else math.inf if run["left"] is None else run["left"],
    }
    for name, key in keys.items():
        if name != "date":  # which it is by at first
            browser.find_element("id", f"by {name}").click()
        for sign in (-1, 1):
            shown = [card.find_element("css selector", "h2 a").get_attribute("href") for card in articles(browser)]
            values = [key(told_runs[href.split("/")[-2]]) for href in shown]
            assert len(values) == 6 and values == sorted(values, key=lambda value, sign=sign: sign * value), name
            browser.find_element("id", f"by {name}").click()
    browser.find_element("id", "by title").click()
    titles = [card.find_element("tag name", "h2").text for card in articles(browser)]
    browser.refresh()
    assert [card.find_element("tag name", "h2").text for card in articles(browser)] == titles == sorted(titles)
    assert browser.find_element("id", "by title").get_attribute("aria-pressed") == "true"
    browser.execute_script("sessionStorage.clear()")


@browsing
@screens
def test_two_runs_under_one_slider(browser, runs, width, scheme):
    """Chosen on their cards, a third in the place of the second; the address names them, so that it can be kept."""
    look(browser, runs / "index.html", width, scheme)
    browser.execute_script("history.replaceState(null, '', '#')")
    browser.refresh()
    assert not browser.find_element("id", "pair").is_displayed()
    for name in ("finished", "interrupted", "painting"):
        browser.find_element("css selector", f"article:has(a[href^={name}]) input").click()
    assert browser.current_url.endswith("#finished&painting")
    browser.refresh()
    assert wait(lambda: all(loaded(browser)[:2]))
    left, right = (browser.find_element("id", name).get_attribute("src") for name in ("upper", "under"))
    assert "/finished/final.png" in left and "/painting/iteration-00010.png" in right
    assert browser.find_element("id", "left").text == "finished · end: iteration 30"
    cut = "const cut = document.getElementById('cut'); cut.value = 25; cut.dispatchEvent(new Event('input'));"
    browser.execute_script(cut)
    shown = browser.execute_script("return getComputedStyle(document.getElementById('over')).clipPath")
    assert shown == "inset(0px 75% 0px 0px)"
    boxes = [browser.find_element("id", name).rect for name in ("upper", "under")]
    assert boxes[0] == boxes[1] and boxes[0]["width"] / boxes[0]["height"] == pytest.approx(64 / 48, abs=0.01)
    assert is_legible(browser)
    browser.find_element("xpath", "//button[text()='close']").click()
    assert not browser.find_element("id", "pair").is_displayed()


@browsing
def test_a_killed_run_is_seen_as_such(browser, runs, tmp_path):
    """Its files say that it is painting; but they are old. On its page and in the gallery, with the way to go on."""
    shutil.copytree(runs / "painting", tmp_path / "killed")
    long_ago = time.time() - 3600
    for name in ("run.json", "losses.csv"):
        os.utime(tmp_path / "killed" / name, (long_ago, long_ago))
    (tmp_path / "killed" / "index.html").write_bytes(page.of_run(tmp_path / "killed"))
    page.write_gallery(tmp_path)
    look(browser, tmp_path / "killed" / "index.html")
    assert browser.title.startswith("perhaps killed: ")
    facts = browser.find_element("id", "header").text
    assert "perhaps killed · iteration 12 of 30" in facts and "no news for 1 h 0 min" in facts and "left" not in facts
    assert f"--resume {(tmp_path / 'killed').resolve()}" in browser.find_element("id", "resume").text
    assert is_legible(browser)
    look(browser, tmp_path / "index.html")
    assert browser.title == f"1 perhaps killed · {tmp_path.name}"
    assert "no news for 1 h 0 min" in articles(browser)[0].text and "--resume" in articles(browser)[0].text
    assert is_legible(browser)


def look_at_large(browser, runs, tmp_path):
    """The page of a run whose picture is 1600 pixels wide."""
    large = tmp_path / "large"
    shutil.copytree(runs / "finished", large)
    iio.imwrite(large / "final.png", random_picture(1200, 1600, 5).astype(np.uint8))
    record = json.loads((large / "run.json").read_text()) | {"width": 1600, "height": 1200}
    (large / "run.json").write_text(json.dumps(record))
    (large / "index.html").write_bytes(page.of_run(large))
    look(browser, large / "index.html")
    assert wait(lambda: all(loaded(browser)))
    return browser.find_element("id", "view"), browser.find_element("id", "picture")


@browsing
def test_a_click_shows_a_pixel_as_one_of_the_screen(browser, runs, tmp_path):
    """About where it was clicked; then it is dragged, and cannot be lost; another click shows it whole."""
    from selenium.webdriver.common.action_chains import ActionChains

    view, picture = look_at_large(browser, runs, tmp_path)
    fit = picture.rect
    assert fit == view.rect and fit["width"] < 1000
    ActionChains(browser).move_to_element_with_offset(view, 100, 60).click().perform()
    assert picture.rect["width"] == pytest.approx(1600) and picture.rect["height"] == pytest.approx(1200)
    # The picture's point under the pointer is where it was.
    pointer = fit["x"] + fit["width"] / 2 + 100
    before, after = ((pointer - box["x"]) / box["width"] for box in (fit, picture.rect))
    assert before == pytest.approx(after, abs=0.005)
    x, y = picture.rect["x"], picture.rect["y"]
    ActionChains(browser).click_and_hold(view).move_by_offset(30, -20).release().perform()
    assert (picture.rect["x"], picture.rect["y"]) == (pytest.approx(x + 30), pytest.approx(y - 20))
    assert browser.find_element("id", "photograph").rect == picture.rect  # what is compared goes with it
    for _ in range(8):
        ActionChains(browser).click_and_hold(view).move_by_offset(300, 200).release().perform()
    assert (picture.rect["x"], picture.rect["y"]) == (pytest.approx(fit["x"]), pytest.approx(fit["y"]))
    view.click()
    assert picture.rect == fit and errors(browser) == []


@browsing
def test_pixels_are_seen_beyond_double(browser, runs, tmp_path):
    _, picture = look_at_large(browser, runs, tmp_path)
    rendering = {}
    browser.find_element("xpath", "//button[text()='1:1']").click()
    for _ in range(4):
        rendering[round(picture.rect["width"] / 1600)] = picture.value_of_css_property("image-rendering")
        browser.find_element("xpath", "//button[text()='+']").click()
    assert rendering == {1: "auto", 2: "auto", 4: "pixelated", 8: "pixelated"}
    assert browser.find_element("css selector", "#zoom output").text == "1600 %"
    browser.find_element("xpath", "//button[text()='fit']").click()
    assert picture.rect == browser.find_element("id", "view").rect


@browsing
@pytest.mark.parametrize("start", [(1e-3, 1e12), (1e13, 1e-2), (0, 1e9), (1e6, 1e3)])
@pytest.mark.parametrize(("fall", "style"), [(10.0, 1e3), (1.02, 1e-9), (1e4, 1e-9)])
def test_no_chart_is_flat(browser, runs, tmp_path, start, fall, style):
    """However far the start is away, and though a term may count for nothing, what is painted fills the chart."""
    shutil.copytree(runs / "finished", tmp_path, dirs_exist_ok=True)
    rows = [(0, *start), *((number, 1e6 * fall ** (-number / 30), style) for number in range(1, 31))]
    lines = [f"{n},{n},{n},{content},{style},{content + 1000 * style}\n" for n, content, style in rows]
    (tmp_path / "losses.csv").write_text("iteration,evaluations,seconds,content,style,total\n" + "".join(lines))
    (tmp_path / "index.html").write_bytes(page.of_run(tmp_path))
    look(browser, tmp_path / "index.html")
    heights = []
    for name in ("total", "content", *(["style"] if style > 1 else [])):
        points = browser.find_element("css selector", f"polyline[data-name={name}]").get_attribute("points").split()
        heights += [float(point.split(",")[1]) for point in points[-30:]]
    assert min(heights) >= 10 and max(heights) <= 286 and max(heights) - min(heights) > 0.8 * 276
    texts = browser.execute_script("return [...document.querySelectorAll('#chart text')].map(t => t.textContent)")
    notes = browser.find_element("id", "scale").text
    weighted = {"content": start[0], "style": 1000 * start[1]}
    for name, value in (weighted | {"total": sum(weighted.values())}).items():
        mark = "▲" if value > 3e6 else "▼" if 0 < value < 1e2 else None
        assert mark is None or (mark in texts and f"{mark} {name} {value:.1e}"[:8] in notes)
    assert len([text for text in texts if "e" in text and text != "iteration"]) >= 2  # ticks
    assert browser.execute_script(OVERLAPS) == [] and errors(browser) == []


def wait(found, seconds=10):
    deadline = time.monotonic() + seconds
    while not (result := found()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return result


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
    shown = told(runs / "finished" / "index.html")
    assert [picture["label"] for picture in shown["pictures"]][:2] == ["iteration 0", "iteration 5"]
    assert shown["losses"]["iteration"] == list(range(31))


def test_the_result_is_linked_under_its_name(paint, runs, tmp_path):
    """The picture that was asked for; else final.png; while it is painted none, as it may be of an earlier end."""
    paint(output=tmp_path / "a & b.jpg")
    result = told(tmp_path / "a & b" / "index.html")["result"]
    assert result["name"] == "a & b.jpg"
    assert (tmp_path / "a & b" / urllib.parse.unquote(result["href"])).samefile(tmp_path / "a & b.jpg")
    assert told(runs / "interrupted" / "index.html")["result"] == {"name": "final.png", "href": "final.png"}
    assert told(runs / "painting" / "index.html")["result"] is None


def test_the_end_has_a_number_and_is_there_once(runs):
    for name, labels in {
        "finished": [*(f"iteration {number}" for number in range(0, 30, 5)), "end: iteration 30"],
        "interrupted": ["iteration 0", "iteration 5", "end: iteration 7"],
        "painting": ["iteration 0", "iteration 5", "iteration 10"],  # its final.png is of an earlier end
        "first": [],
    }.items():
        assert [picture["label"] for picture in told(runs / name / "index.html")["pictures"]] == labels


def test_the_gallery_tells_runs_apart(runs, network_file):
    cards = {run["name"]: run for run in told(runs / "index.html")["runs"]}
    assert {*cards} == {"finished", "hostile <script> <b>", "interrupted", "failed", "painting", "first"}
    assert told(runs / "index.html")["common"] == ["--iterations 30", "--save-every 5", "--timelapse gif"]
    pair = runs / "photo.png", runs / "painting.png"
    other = Settings(iterations=30, save_every=5, timelapse="gif", beta=50.0)
    nst_graph.paint(*pair, other, weights_file=network_file, output=runs / "more" / "a")
    nst_graph.paint(*pair, replace(other, beta=7e5), weights_file=network_file, output=runs / "more" / "b")
    page.write_gallery(runs / "more")
    shown = told(runs / "more" / "index.html")
    assert [run["options"] for run in shown["runs"]] == [["--beta 700000"], ["--beta 50"]]
    assert "--beta 50" not in shown["common"] and "--iterations 30" in shown["common"]


@pytest.mark.parametrize(
    ("changed", "title"),
    [
        ({"alpha": 0.0}, "The texture of painting.png"),
        ({"beta": 0.0}, "photo.png, its content alone"),
        (
            {"ratio_at": (512,), "scales": (48,), "scale_iterations": (4,), "smoothness": 3.0},
            "photo.png in the style of",
        ),
    ],
)
def test_terms_add_up_to_the_total(pair, network_file, tmp_path, changed, title):
    settings = Settings(
        iterations=5, size=64, content_layers={"conv2_1": 1.0}, style_layers={"conv1_1": 1.0}, **changed
    )
    nst_graph.paint(*pair, settings, weights_file=network_file, output=tmp_path)
    shown = told(tmp_path / "index.html")
    assert shown["title"].startswith(title)
    curves = {name: np.array(values) for name, values in shown["losses"].items()}
    np.testing.assert_allclose(sum(curves[name] for name in losses.terms(curves)), curves["total"], rtol=1e-6)
    weights = {"content × alpha": settings.alpha, "smoothness": settings.smoothness}
    rows = losses.read(tmp_path).values()
    for name, weight in weights.items():
        if name in curves:
            np.testing.assert_allclose(curves[name], [weight * row[name.split()[0]] for row in rows], rtol=1e-6)
    assert shown["last"] == curves["iteration"][-1]
    assert len(shown["stages"]) == 1 + len(settings.scales)


def test_a_scale_that_is_left_out_is_not_waited_for(pair, network_file, tmp_path):
    """The photograph is smaller than --size, and not larger than the first scale."""
    settings = Settings(iterations=4, size=200, scales=(90,), scale_iterations=(50,))
    nst_graph.paint(*pair, settings, weights_file=network_file, output=tmp_path)
    shown = told(tmp_path / "index.html")
    (stage,) = shown["stages"]
    assert shown["last"] == stage["iterations"] == 4


def test_the_network_that_paints_is_told(runs, monkeypatch, network_file):
    record = json.loads((runs / "finished" / "run.json").read_text())
    record["settings"]["network"] = "VGG-19"
    monkeypatch.setattr(places, "MODEL", network_file.parent)
    assert page._network(record) == "VGG-16, in the place of VGG-19"
    record["settings"]["network"] = "VGG-16"
    assert page._network(record) == "VGG-16"


def test_long_runs_make_short_pages(tmp_path):
    rows = "".join(f"{n},{n},{n / 2:.3f},{1e6 / (n + 1)},1,2\n" for n in range(20001))
    (tmp_path / "losses.csv").write_text("iteration,evaluations,seconds,content,style,total\n" + rows)
    rows = [*losses.read(tmp_path).values()]
    iterations = page._thinned(rows)["iteration"]
    assert len(iterations) < 450 and iterations[-1] == 20000
    assert iterations == sorted(iterations)
    stages = [{"iterations": 20100, "width": 8, "height": 9}]
    assert page._left(rows, stages) == (pytest.approx(50), pytest.approx(0.5))
    stages[:0] = [{"iterations": 20000, "width": 4, "height": 9}]  # half as large, and twice as fast
    assert page._left(rows[:-1], stages)[0] == pytest.approx(20100 * 1.0, rel=0.01)
