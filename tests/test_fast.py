"""bfloat16, coarse to fine, and plans for memory."""

import gc
import itertools
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import reference
from conftest import loss_rows, random_picture, run_here, stop_at
from processes import run_python

import nst_graph
from nst_graph import images, machine, stages, weights
from nst_graph.commands import paint as cli
from nst_graph.errors import InputError, Pause
from nst_graph.model import vgg
from nst_graph.model.objective import Objective, Style
from nst_graph.model.strips import Cut
from nst_graph.model.tensorflow import tf
from nst_graph.optimise import PAIRS, Vectors
from nst_graph.recipes import fast
from nst_graph.settings import Settings

#: Layers that a picture of 16 x 12 pixels has.
SHALLOW = {"content_layers": {"conv2_1": 1.0}, "style_layers": {"conv1_1": 0.5, "conv2_1": 0.5}}


def test_stages():
    def painted(settings, fastest):
        schedule = stages.schedule(settings, fastest)
        return [(stage.size, stage.iterations, stage.precision) for stage in schedule]

    plain = Settings(size=100, iterations=50)
    assert painted(plain, "bfloat16") == [(100, 50, "float32")]
    coarse = replace(plain, scales=(25, 50), scale_iterations=(7, 8))
    assert painted(coarse, "float32") == [(25, 7, "float32"), (50, 8, "float32"), (100, 50, "float32")]
    auto = replace(coarse, precision="auto")
    assert painted(auto, "float32") == painted(coarse, "float32")  # without the machine's help nothing is narrow
    narrow = [(25, 7, "bfloat16"), (50, 8, "bfloat16"), (100, 45, "bfloat16")]
    assert painted(auto, "bfloat16") == [*narrow, (100, 5, "float32")]
    assert painted(replace(plain, precision="bfloat16"), "float32") == [(100, 50, "bfloat16")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scales": (0,), "scale_iterations": (1,)}, "scales: 0; give whole numbers of 1 or more"),
        ({"scales": (64,)}, "scale_iterations: none; give a whole number above 0 for each of the scales"),
        ({"scales": (64,), "scale_iterations": (0,)}, "scale_iterations: 0;"),
        ({"tile": 8}, "tile: 8;"),
        ({"ratio_at": (0,)}, "ratio_at: 0; give a size, or width and height, in pixels"),
        ({"ratio_at": (1, 2, 3)}, "ratio_at: 1 2 3;"),
        ({"precision": "half"}, "precision: half; give one of float32, tf32, bfloat16, auto"),
    ],
)
def test_settings_that_cannot_be_used(changes, words):
    with pytest.raises(InputError, match=words):
        Settings(**changes)


def test_scales_that_are_not_below_the_size_are_left_out():
    settings = Settings(size=100, scales=(64, 100, 128), scale_iterations=(1, 2, 3), iterations=4)
    assert [(stage.size, stage.iterations) for stage in stages.schedule(settings, "float32")] == [(64, 1), (100, 4)]


def test_fast_settings_are_good_at_any_size():
    for size in (20, 64, 100, 511, 4096):
        settings = fast(Settings(size=size))
        assert all(scale < size for scale in settings.scales)


def test_bfloat16_is_near_float32(vgg19_file):
    """Losses within 2e-3, gradients within 5 % in norm, on the real network.

    Its kernels are rounded before: what that does to them is not the computation's.
    """
    settings = Settings()
    whole = weights.read(vgg19_file).upto(settings.layers)
    rounded = (
        replace(layer, kernel=layer.kernel.astype(tf.bfloat16.as_numpy_dtype).astype(np.float32))
        if isinstance(layer, weights.Conv)
        else layer
        for layer in whole.layers
    )
    network = replace(whole, layers=tuple(rounded))
    content, style = random_picture(72, 96, 1), Style(random_picture(72, 96, 2))
    picture = images.start(content, network.mean, 0.5, 0)
    wide = Objective(network, content, [style], settings)(picture)
    for narrow in (
        Objective(network, content, [style], settings, compute=tf.bfloat16)(picture),
        Objective(network, content, [style], settings, compute=tf.bfloat16, cut=Cut(5, 64))(picture),
    ):
        assert narrow.gradient.dtype == np.float32
        for name, value in wide.terms.items():
            assert narrow.terms[name] == pytest.approx(value, rel=2e-3)
            assert narrow.terms[name] != value  # it really is narrower
        difference = np.linalg.norm(narrow.gradient - wide.gradient) / np.linalg.norm(wide.gradient)
        assert difference < 0.05


@pytest.mark.thorough
def test_auto_ends_near_float32(vgg19_file, tmp_path, monkeypatch):
    monkeypatch.setattr(vgg, "fastest_precision", lambda convolutions: "bfloat16")
    iio.imwrite(tmp_path / "photo.png", random_picture(72, 96, 1).astype(np.uint8))
    totals = {}
    for precision in ("float32", "auto"):
        said = []
        painting = nst_graph.paint(
            tmp_path / "photo.png", cli.EXAMPLE_STYLE,
            Settings(iterations=60, precision=precision), weights_file=vgg19_file, say=said.append,
        )  # fmt: skip
        totals[precision] = painting.outcome.step.total
    assert "54 iterations of SciPy's L-BFGS at 96 x 72 in bfloat16" in said
    assert "6 iterations of the graph's L-BFGS at 96 x 72 in float32" in said
    assert totals["auto"] == pytest.approx(totals["float32"], rel=0.1)  # 60 iterations are far from the end


@pytest.mark.parametrize(("precision", "told"), [("bfloat16", True), ("auto", False)])
def test_a_processor_without_bfloat16_is_told(monkeypatch, pair, network_file, precision, told):
    """To whom asks for bfloat16; what `auto`, which --fast stands for, took is in the line on each stage."""
    monkeypatch.setattr(vgg, "fastest_precision", lambda convolutions: "float32")
    said = []
    nst_graph.paint(
        *pair, Settings(iterations=1, precision=precision),
        weights_file=network_file, say=said.append,
    )  # fmt: skip
    assert any("not faster than float32 on this machine" in line for line in said) == told
    assert not any("--precision" in line for line in said) or told
    assert any(line.endswith("in bfloat16" if told else "in float32") for line in said)


@pytest.mark.parametrize("has_gpu", [True, False])
def test_tf32_is_a_gpus(monkeypatch, pair, network_file, has_gpu):
    """And TensorFlow may round factors to it while it is asked for, not after."""
    monkeypatch.setattr(stages, "has_gpu", lambda: has_gpu)
    said, allowed = [], []
    for precision in ("tf32", "float32"):
        nst_graph.paint(
            *pair, Settings(iterations=1, precision=precision),
            weights_file=network_file, say=said.append,
            observers=[lambda step: allowed.append(tf.config.experimental.tensor_float_32_execution_enabled())],
        )  # fmt: skip
    assert allowed == [has_gpu, has_gpu, False, False]
    assert ("--precision tf32: only a GPU has it; painted in float32" in said) != has_gpu
    lines = [line for line in said if line.endswith("2")]
    assert lines[0].endswith("in tf32" if has_gpu else "in float32") and lines[1].endswith("in float32")


def test_scales(pair, network_file, tmp_path):
    """Iterations count on, sizes grow, and the last scale's loss is that of the picture itself."""
    settings = Settings(size=64, iterations=6, scales=(16, 24, 32), scale_iterations=(9, 3, 4), save_every=1)
    steps, said = [], []
    painting = nst_graph.paint(
        *pair, settings, weights_file=network_file, output=tmp_path / "run", observers=[steps.append], say=said.append
    )
    assert "scale 16 is left out: a side would have fewer than the 16 pixels that the layers need" in said
    assert [step.iteration for step in steps] == list(range(14))
    assert [step.picture.shape[1] for step in steps] == [24] * 4 + [32] * 4 + [64] * 6
    evaluations = [step.evaluations for step in steps]
    assert evaluations == sorted(set(evaluations))
    seconds = [step.seconds for step in steps]
    assert seconds == sorted(seconds)
    network = weights.read(network_file).upto(settings.layers)
    photo, style = (images.read(file) for file in pair)
    whole = Objective(network, photo, [Style(images.resize(style, 48, 64))], Settings())
    assert whole(painting.outcome.step.picture).total == pytest.approx(painting.outcome.step.total, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "shape", "factor"),
    [
        ({"ratio_at": (512,)}, (384, 512), 1),
        ({"ratio_at": (512,)}, (96, 128), 1 / 16),
        ({"ratio_at": (512,)}, (1536, 1024), 9),  # by the longer side
        ({"ratio_at": (512,), "side": "shorter"}, (1536, 1024), 4),
        ({"ratio_at": (1023, 768)}, (384, 512), 384 * 512 / (1023 * 768)),
        ({}, (96, 128), 1),
    ],
)
def test_beta_follows_the_pixels(changes, shape, factor):
    settings = stages.balanced(Settings(beta=3.0, **changes), shape)
    assert settings.beta == pytest.approx(3 * factor) and settings.ratio_at is None


def test_the_ratio_of_the_terms_holds_at_other_sizes():
    """Features repeated twice each way: equation 1 is four times as large, equation 4 the same, their ratio is kept."""
    rng = np.random.default_rng(0)
    painted, wanted = rng.uniform(0, 9, (2, 6, 8, 5))
    ratios = []
    for times in (1, 2):
        settings = stages.balanced(Settings(size=128, ratio_at=(128,)), (48 * times, 64 * times))
        pair = [np.tile(features, (times, times, 1)) for features in (painted, wanted)]
        content, style = reference.content_loss(*pair), reference.style_loss(*pair)
        ratios.append(settings.alpha * content / (settings.beta * style))
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-12)


def test_the_ratio_at_coarse_scales(pair, network_file):
    """Each scale's loss has the beta of its pixels, and the last that of the size that is meant."""
    steps = []
    settings = Settings(size=64, iterations=2, scales=(16, 32), scale_iterations=(2, 2), ratio_at=(64,), **SHALLOW)
    nst_graph.paint(*pair, settings, weights_file=network_file, observers=[steps.append])
    assert {step.picture.shape[1] for step in steps} == {16, 32, 64}
    for step in steps:
        beta = 1000 * (step.picture.shape[1] / 64) ** 2
        assert step.total == pytest.approx(step.terms["content"] + beta * step.terms["style"], rel=1e-5)


def test_an_enlarged_painting_has_the_photographs_detail():
    """Enlarged is the change alone: none leaves the photograph, a flat one all of its detail."""
    photograph = images.resample(random_picture(9, 12, 1), 36, 48)
    small = images.resize(photograph, 18, 24)
    np.testing.assert_array_equal(images.enlarge_change(small, small, photograph), photograph)
    np.testing.assert_allclose(images.enlarge_change(small + 40, small, photograph), photograph + 40, rtol=1e-5)
    framed = np.pad(small[4:-4, 4:-4] + 40, ((4, 4), (4, 4), (0, 0)), constant_values=99)  # as by padding with zeros
    np.testing.assert_allclose(images.enlarge_change(framed, small, photograph), photograph + 40, rtol=1e-5)


def test_scales_above_a_small_picture_are_left_out(pair, network_file):
    steps = []
    settings = Settings(scales=(32, 64, 256), scale_iterations=(2, 3, 4), iterations=5)
    nst_graph.paint(*pair, settings, weights_file=network_file, observers=[steps.append])
    assert [step.picture.shape[1] for step in steps] == [32] * 3 + [64] * 5


def test_fast_on_the_command_line(pair, network_file, tmp_path):
    words = [*pair, "--weights", network_file, "--fast"]
    done = run_here("paint.py", *words, "--iterations", 5, "--output", tmp_path / "run")
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if line.endswith(("in float32", "in bfloat16"))]


GIGABYTE = 1e9


def test_plans():
    filters = {1: (3, 64, 64), 2: (64, 128, 128), 3: (128, *[256] * 4), 4: (256, *[512] * 4), 5: (512, 512)}
    layers = []
    for block, numbers in filters.items():
        for index, (inner, outer) in enumerate(itertools.pairwise(numbers), 1):
            kernel = np.broadcast_to(np.float32(0), (3, 3, inner, outer))
            layers += [weights.Conv(f"conv{block}_{index}", kernel, kernel[0, 0, 0]), weights.Relu("")]
        layers.append(weights.Pool(f"pool{block}"))
    part = weights.Network(tuple(layers[:-1]), np.zeros(3, np.float32), "current")

    def plan(width, height, settings, memory):
        return stages.plan(part, (height, width), height * width, settings, memory, None)

    assert plan(512, 384, Settings(), 24 * GIGABYTE) == stages.Plan(PAIRS)
    assert plan(512, 384, Settings(tile=256), 24 * GIGABYTE) == stages.Plan(PAIRS, None, 5, 256)
    large = plan(2048, 1536, Settings(), 7 * GIGABYTE)
    assert large.blocks and large.rows >= stages.FEWEST_ROWS and large.pairs == PAIRS
    more = plan(2048, 1536, Settings(), 9 * GIGABYTE)
    assert more.blocks < large.blocks or (more.blocks == large.blocks and more.rows > large.rows)
    adam = plan(4096, 3072, Settings(optimiser="adam"), 6 * GIGABYTE)
    assert adam.blocks
    scipys = plan(4096, 3072, Settings(lbfgs="scipy"), 18 * GIGABYTE)
    assert stages.FEWEST_PAIRS <= scipys.pairs < PAIRS and scipys.vector_dtype is None
    graphs = plan(4096, 3072, Settings(lbfgs="graph"), 64 * GIGABYTE)
    assert graphs == stages.Plan(PAIRS, "float64")
    single = plan(4096, 3072, Settings(lbfgs="graph"), 26 * GIGABYTE)
    assert single.pairs == PAIRS and single.vector_dtype == "float32"
    by_hand = plan(4096, 3072, Settings(tile=128), 14 * GIGABYTE)
    assert (by_hand.blocks, by_hand.rows, by_hand.vector_dtype) == (5, 128, "float32")
    fewer = plan(4096, 3072, Settings(), 10 * GIGABYTE)
    assert stages.FEWEST_PAIRS <= fewer.pairs < PAIRS and fewer.vector_dtype == "float32"
    joined = plan(4096, 3072, Settings(memory=6), 0)
    assert joined.pairs >= stages.FEWEST_PAIRS and joined.joined == 2 <= joined.blocks
    with pytest.raises(InputError, match="size: 4096; .*4096 x 3072 pixels takes .* GB.* optimiser adam"):
        plan(4096, 3072, Settings(), 6 * GIGABYTE)
    with pytest.raises(InputError, match="size: 2048; .*leave tile away"):
        plan(2048, 1536, Settings(tile=2048), 6 * GIGABYTE)


@pytest.mark.parametrize("by_option", [False, True])
@pytest.mark.parametrize(("gigabytes", "outcome"), [(3, "whole"), (1.92, "in strips of"), (1.9, "refused")])
def test_what_does_not_fit_is_cut_or_refused(network_file, tmp_path, monkeypatch, gigabytes, outcome, by_option):
    """By the memory of the machine, of which four fifths are used, or by --memory."""
    monkeypatch.setattr(machine, "memory", lambda: (64 if by_option else gigabytes) * GIGABYTE)
    iio.imwrite(tmp_path / "a.png", random_picture(384, 512).astype(np.uint8))
    words = ["--weights", network_file, "--content-layers", "conv1_1", "--style-layers", "conv1_1"]
    words += ["--optimiser", "adam", "--iterations", 0, "--output", tmp_path / "run"]
    words += ["--memory", 0.8 * gigabytes] if by_option else []
    done = run_here("paint.py", tmp_path / "a.png", tmp_path / "a.png", *words)
    if outcome == "refused":
        assert done.returncode == 2 and "--size 512: painting 512 x 384 pixels takes" in done.stderr
        assert not (tmp_path / "run").exists()
    else:
        assert done.returncode == 0 and ("in strips of" in done.stdout) == (outcome != "whole"), done.stderr


def test_a_run_goes_on_with_less_memory(network_file, tmp_path, monkeypatch):
    """In strips now, with the same steps: other work may have taken what there was."""
    monkeypatch.setattr(machine, "memory", lambda: 64 * GIGABYTE)
    iio.imwrite(tmp_path / "a.png", random_picture(384, 512).astype(np.uint8))
    settings = Settings(content_layers={"conv1_1": 1}, style_layers={"conv1_1": 1}, optimiser="adam", iterations=4)
    words = {"weights_file": network_file, "output": tmp_path / "run"}
    whole = nst_graph.paint(tmp_path / "a.png", tmp_path / "a.png", settings, weights_file=network_file)
    with pytest.raises(Pause):
        nst_graph.paint(tmp_path / "a.png", tmp_path / "a.png", settings, **words, observers=[stop_at(2)])
    done = run_here("paint.py", "--resume", tmp_path / "run", "--memory", 1.536)
    assert done.returncode == 0 and "in strips of" in done.stdout, done.stderr
    assert float(loss_rows(tmp_path / "run")[-1]["total"]) == pytest.approx(whole.outcome.step.total, rel=1e-3)


@pytest.mark.parametrize(
    ("groups", "limit"),
    [
        ("0::/\n", "memory.max"),
        ("0::/system.slice/slurm.scope/job_7/step_0/user/task_0\n", "system.slice/slurm.scope/job_7/memory.max"),
        ("4:memory:/slurm/uid_0/job_7/step_0\n0::/\n", "memory/slurm/uid_0/job_7/memory.limit_in_bytes"),
        ("5:cpu,memory:/docker/0123\n", "memory/memory.limit_in_bytes"),
    ],
)
def test_memory_of_the_control_group(monkeypatch, tmp_path, groups, limit):
    """The job's own group, and those above it, of version 2 and 1."""
    (tmp_path / "groups").write_text(groups)
    monkeypatch.setattr(machine, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(machine, "MOUNT", tmp_path)
    whole = machine.memory()
    assert whole > 5e8
    file = tmp_path / limit
    file.parent.mkdir(parents=True, exist_ok=True)
    for text, memory in (("123456789\n", 123456789), ("max\n", whole), ("9223372036854771712\n", whole)):
        file.write_text(text)
        assert machine.memory() == memory


def test_no_stage_leaves_its_graph_to_the_next(pair, network_file):
    alive = []

    def observe(step):
        alive.append(sum(isinstance(one, Vectors) for one in gc.get_objects()))

    coarse = {"size": 64, "scales": (32, 48), "scale_iterations": (2, 2)}
    nst_graph.paint(*pair, weights_file=network_file, iterations=2, lbfgs="graph", observers=[observe], **coarse)
    assert alive == [1] * 7


def test_what_tensorflow_took_is_the_systems_again():
    used = """
import psutil
from nst_graph.model.tensorflow import reserve, session, tf

def used():
    return psutil.Process().memory_info().rss

reserve(1e9)
before = used()
with tf.Graph().as_default() as graph, session(graph) as running:
    size = tf.placeholder(tf.int32)
    running.run(tf.fill([size], 1.0).op, {size: 1 << 26})
reserve(1e9)
print(used() - before)
"""
    done = run_python(used)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) < 1 << 26  # of 1 << 28 bytes


def test_strips_paint_the_same(pair, network_file):
    totals = []
    for tile in (None, 16):
        painting = nst_graph.paint(
            *pair, Settings(iterations=5, tile=tile),
            weights_file=network_file,
        )  # fmt: skip
        totals.append(painting.outcome.step.total)
    assert totals[1] == pytest.approx(totals[0], rel=1e-2)
