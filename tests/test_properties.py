"""Properties that hold for any size, layers, blend and options, by Hypothesis."""

import json
import shutil

import numpy as np
import pytest
from conftest import BLOCKS, hashes, random_layers, random_picture, run_here, save_mat
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nst_graph import images, weights
from nst_graph.commands import common, figures, options
from nst_graph.model.objective import Objective, Style
from nst_graph.model.strips import Cut
from nst_graph.runs import records
from nst_graph.settings import CHOICES, Settings

LAYERS = [f"conv{block}_{index + 1}" for block, count in enumerate(BLOCKS, 1) for index in range(count)]
LAYERS += [f"pool{block}" for block in range(1, 6)]


def few(examples):
    """The same so many in every run."""
    skipped = list(HealthCheck)
    return settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=skipped)


def often(quick, thorough):
    """A test of so many examples at each change, and of more for make test-all."""
    return pytest.mark.parametrize("examples", [quick, pytest.param(thorough, marks=pytest.mark.thorough)])


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """VGG-16 of two or three filters a layer."""
    path = tmp_path_factory.mktemp("narrow") / "narrow.mat"
    return weights.read(save_mat(path, random_layers(filters=(2, 3, 2, 3, 2)), "current"))


@st.composite
def tasks(draw):
    """Settings, a size that their layers allow, several paintings' sizes, and strips."""
    layers = st.dictionaries(st.sampled_from(LAYERS), st.floats(0.01, 10), min_size=1, max_size=4)
    alpha, beta = draw(st.sampled_from([(1.0, 1000.0), (1.0, 0.0), (0.0, 1.0), (0.5, 1e5)]))
    paintings = draw(st.integers(1, 3))
    wanted = (
        Settings(
            alpha=alpha,
            beta=beta,
            content_layers=draw(layers),
            style_layers=draw(layers),
            pooling=draw(st.sampled_from(CHOICES["pooling"])),
            pool_rounding=draw(st.sampled_from(CHOICES["pool_rounding"])),
            content_loss=draw(st.sampled_from(CHOICES["content_loss"])),
            style_loss=draw(st.sampled_from(CHOICES["style_loss"])),
            smoothness=draw(st.sampled_from([0.0, 0.01])),
            smoothness_loss=draw(st.sampled_from(CHOICES["smoothness_loss"])),
            padding=draw(st.sampled_from(CHOICES["padding"])),
            style_blend=tuple(draw(st.lists(st.floats(0, 5), min_size=paintings, max_size=paintings).filter(any))),
        )
        if draw(st.booleans())
        else Settings(pooling=draw(st.sampled_from(CHOICES["pooling"])))
    )
    blocks = [int(layer[4]) for layer in wanted.layers]
    poolings = [block - layer.startswith("conv") for block, layer in zip(blocks, wanted.layers, strict=True)]
    side = st.integers(2 ** max(poolings), 300)
    cut = Cut(draw(st.integers(1, max(blocks))), draw(st.integers(16, 300)))
    return wanted, (draw(side), draw(side)), paintings, cut


@often(6, 60)
def test_loss_and_gradient(narrow, examples):
    @few(examples)
    @given(task=tasks(), seed=st.integers(0, 9))
    def check(task, seed):
        wanted, size, paintings, cut = task
        part = narrow.upto(wanted.layers, wanted.pool_rounding)
        shares = wanted.blend(paintings)
        styles = [Style(random_picture(*size, seed + 2 + n), share) for n, share in enumerate(shares)]
        picture, content = random_picture(*size, seed), random_picture(*size, seed + 1)
        whole, in_strips = Objective(part, content, styles, wanted), Objective(part, content, styles, wanted, cut=cut)
        one, other = whole(picture), in_strips(picture)
        whole.close()
        in_strips.close()
        assert np.isfinite(one.total) and np.isfinite(one.gradient).all()
        assert one.gradient.shape == other.gradient.shape == (*size, 3)
        assert other.total == pytest.approx(one.total, rel=1e-4)
        np.testing.assert_allclose(other.gradient, one.gradient, rtol=0, atol=1e-4 * np.abs(one.gradient).max())

    check()


@few(100)
@given(pixels=arrays.arrays(np.uint8, st.tuples(st.integers(1, 300), st.integers(1, 300), st.just(3))))
def test_saving_loses_nothing(tmp_path, pixels):
    (tmp_path / "a.png").write_bytes(images.to_png(pixels.astype(np.float32)))
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), pixels)


#: What people and their scripts may give in the place of a number or a name.
ODD = ["", "0", "-1", "1", "nan", "inf", "1e308", "1e-320", "99999999999999999999", "x", "--", "../..", "\0", "ä\n"]


#: And what suits an option of that kind.
SUITED = {
    int: ["2", "16", "20", "40", "300"],
    float: ["0.1", "0.5", "1", "2", "1e-9", "1e4", "1e30"],
    common.gigabytes: ["1"],
    options.size: ["16", "40", "300", "original"],
}


@st.composite
def command_lines(draw):
    """Words for paint.py beside the two pictures; iterations stay few, most values suit their options."""
    words = ["--iterations", draw(st.sampled_from(["1", "2", "3"] * 4 + ["0", "-1", "x"]))]
    left_out = {"help", "iterations", "output", "weights", "resume", "recipes", "overwrite", "help_all", "version"}
    left_out |= {"example", "more", "like", "print_completion"}
    given = {
        action.option_strings[0]: action
        for action in options.parser()._actions
        if action.option_strings and action.dest not in left_out
    }
    for option in draw(st.lists(st.sampled_from(sorted(given)), max_size=5, unique=True)):
        action = given[option]
        words.append(option)
        if action.nargs == 0:
            continue
        suited = action.choices or CHOICES.get(action.dest) or SUITED.get(action.type) or ["conv1_1", "conv2_1=2"]
        good = draw(st.integers(0, 7))
        value = st.sampled_from(list(suited)) if good else st.sampled_from(ODD) | st.text(max_size=5)
        words += draw(st.lists(value, min_size=1, max_size=2 if action.nargs == "+" else 1, unique=True))
    return words


@often(12, 100)
def test_a_run_or_exit_2(tmp_path_factory, pictures_dir, network_file, examples):
    @few(examples)
    @given(words=command_lines())
    @example(words=["--style-scale", "1e300"])
    @example(words=["--style-scale", "1000"])
    @example(words=["--style-scale", "1e30", "--bounded"])
    @example(words=["--optimiser", "adam", "--rate", "1e308", "--iterations", "2"])
    @example(words=["--alpha", "1e308", "--iterations", "2"])
    @example(words=["--read-limit", "nan"])
    @example(words=["--init", "\0"])
    @example(words=["--masks", "\0"])
    def check(words):
        output = tmp_path_factory.mktemp("any") / "run"
        pair = pictures_dir / "photo.png", pictures_dir / "painting.png"
        if "--iterations" not in words:
            words = [*words, "--iterations", "1"]
        done = run_here("paint.py", *pair, "--weights", network_file, "--output", output, *words)
        if done.returncode == 0:
            assert (output / "final.png").exists() and not (output / "state.npz").exists()
        else:
            assert done.returncode == 2 and done.stderr.startswith("paint.py: error: "), done.stderr
            assert done.stderr.count("\n") == 1, done.stderr

    check()


#: Names that runs, figures and people give to files.
NAMES = ["run.json", "losses.csv", "losses.png", "state.npz", "index.html", "content.png", "final.png", ".lock"]
NAMES += ["style-1.png", "style-2.png", "iteration-00002.png", "timelapse.gif", ".run.json.0123456789abcdef"]
NAMES += [".run.json.unfinished"]
NAMES += ["fig1.png", "fig2.pdf", "B/final.png", "tensorboard/events.out.tfevents.1.host", ".sources/content"]
NAMES += ["notes.txt", "photo.jpg", "Tuebingen_Neckarfront.jpg", "iteration-1.png", "narrow-rescaled.mat"]
BYTES = st.sampled_from([b"", b"{}", b"mine", b"\x89PNG\r\n\x1a\n"])
STRANGERS = st.dictionaries(st.sampled_from(NAMES), BYTES, max_size=4)


def entry(pair, words, **values):
    """The words of a command line as an entry of a list, in TOML."""
    options = {}
    for word in words:
        if word.startswith("--"):
            options[word[2:]] = []
        else:
            list(options.values())[-1].append(word)
    lines = {"content": pair[0], "styles": [pair[1]]} | values
    lines |= {name: given or "yes" for name, given in options.items()}
    return "[[painting]]\n" + "".join(f"{json.dumps(name)} = {json.dumps(value)}\n" for name, value in lines.items())


@st.composite
def commands(draw):
    """One of the four commands by name, and its words but those that say where."""
    name = draw(st.sampled_from(["paint", "overwrite", "resume", "paint_many", "figures", "get_weights"]))
    if name in ("paint", "overwrite", "paint_many"):
        return name, draw(command_lines())
    if name == "figures":
        words = [draw(st.sampled_from([*figures.FIGURES])), "--iterations", "1", "--size", "32"]
        return name, words + draw(st.sampled_from([[], ["--winograd"], ["--panels", "B"], ["--save-every", "1"]]))
    return name, []


@often(8, 100)
def test_strangers_keep_their_bytes(tmp_path_factory, pictures_dir, network_file, examples):
    """Files that are not a run's have the same bytes after a command, whatever it came to."""

    @few(examples)
    @given(begun=st.booleans(), strangers=STRANGERS, command=commands())
    @example(begun=False, strangers={"fig1.png": b"mine"}, command=("figures", ["fig1"]))
    @example(begun=True, strangers={"final.psd": b"retouched"}, command=("overwrite", []))
    def check(begun, strangers, command):
        place = tmp_path_factory.mktemp("any") / "place"
        pair = [str(pictures_dir / "photo.png"), str(pictures_dir / "painting.png")]
        where = ["--weights", str(network_file), "--output", str(place)]
        if begun:
            assert run_here("paint.py", *pair, *where, "--iterations", 2, "--save-every", 1).returncode == 0
        place.mkdir(exist_ok=True)
        written = set(hashes(place))
        for name, data in strangers.items():
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_bytes(data)
        before = {name: digest for name, digest in hashes(place).items() if name not in written or name in strangers}
        if begun and "run.json" not in strangers:  # what has the name of a run's file is the run's
            before = {name: digest for name, digest in before.items() if not records.NAMES.fullmatch(name)}
        name, words = command
        if name in ("paint", "overwrite"):
            done = run_here("paint.py", *pair, *where, *words, *["--overwrite"] * (name == "overwrite"))
        elif name == "resume":
            done = run_here("paint.py", "--resume", place)
        elif name == "paint_many":
            listed = place.with_suffix(".toml")
            listed.write_text(entry(pair, words, weights=str(network_file), output=str(place)))
            done = run_here("paint_many.py", listed)
        elif name == "figures":
            done = run_here("figures.py", *words, "--images", place, *where)
        else:
            shutil.copy(network_file, place / "narrow.mat")
            done = run_here("get_weights.py", "rescale", place / "narrow.mat", "--images", place)
        assert done.returncode in (0, 2)
        after = hashes(place)
        assert {name: after.get(name) for name in before} == before

    check()
