"""In a notebook: cells as a user of scikit-learn writes them, run by Jupyter's kernel; and docs/paper.ipynb."""

import base64
import io
import re

import imageio.v3 as iio
import nbclient
import nbformat
import numpy as np
import pytest
from conftest import ROOT, random_picture

from nst_graph.weights import sources


def execute(notebook, directory, **options):
    return nbclient.NotebookClient(
        notebook, timeout=600, startup_timeout=600, resources={"metadata": {"path": str(directory)}}, **options
    )


@pytest.fixture(scope="module")
def cell(tmp_path_factory, network_file):
    """A function that runs a cell and returns its outputs, in a directory with pictures and a small network."""
    directory = tmp_path_factory.mktemp("notebook")
    for seed, name in enumerate(("photo.jpg", "monet.jpg", "munch.jpg")):
        iio.imwrite(directory / name, random_picture(48, 64, seed).astype(np.uint8))
    (directory / sources.FILES["VGG-19"][-1]).symlink_to(network_file)
    notebook = nbformat.v4.new_notebook()
    client = execute(notebook, directory, allow_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NST_GRAPH_HOME", str(directory))
        with client.setup_kernel():

            def run(source):
                notebook.cells.append(nbformat.v4.new_code_cell(source))
                return client.execute_cell(notebook.cells[-1], len(notebook.cells) - 1).outputs

            assert run("import pickle, signal, sys\nimport numpy as np\nimport nst_graph\nfrom PIL import Image") == []
            assert run("p = nst_graph.paint('photo.jpg', 'monet.jpg', size=48, iterations=3, progress=False)") == []
            yield run


def picture(data):
    return iio.imread(io.BytesIO(base64.b64decode(data["image/png"])))


def printed(outputs):
    return "".join(output.get("text", "") for output in outputs)


def test_a_cell_shows_how_far_it_is(cell):
    """A bar, and below it the picture so far, in the end the painting."""
    bar, shown = cell("q = nst_graph.paint('photo.jpg', ['monet.jpg', 'munch.jpg'], 'studio', size=64, iterations=30)")
    assert "application/vnd.jupyter.widget-view+json" in bar["data"]
    (result,) = cell("q")
    np.testing.assert_array_equal(picture(shown["data"]), picture(result["data"]))
    assert printed(cell("print(q.settings.smoothness, q.settings.size)")) == "10.0 64\n"


def test_a_result_is_a_picture_and_a_line(cell):
    (result,) = cell("p")
    assert picture(result["data"]).shape == (36, 48, 3)
    (line,) = result["data"]["text/plain"].splitlines()
    assert line.startswith("<Painting, 48 x 36 pixels, by VGG-16: 3 iterations in ")
    assert printed(cell("print(p.settings)")) == "Settings(size=48, iterations=3)\n"


#: What a user types, and what comes back.
ANSWERS = {
    "Image.fromarray(p).size, p.image.size": "((48, 36), (48, 36))",
    "np.asarray(p).dtype, np.asarray(p).shape, np.array(p, float).shape": "(dtype('uint8'), (36, 48, 3), (36, 48, 3))",
    "np.array_equal(np.asarray(p), np.rint(p.picture.clip(0, 255)))": "True",
    "np.array_equal(p.__array__(), np.asarray(p.image))": "True",
    "nst_graph.paint('photo.jpg', 'monet.jpg', init=p, size=48, iterations=0).picture.shape": "(36, 48, 3)",
    "nst_graph.paint(p, [p, 'munch.jpg'], size=48, iterations=2).losses['iteration']": "[0, 1, 2]",
    "nst_graph.paint(p, p, 'studio', init='style', iterations=0).settings.init": "'style'",
    "np.array_equal(pickle.loads(pickle.dumps(p)).picture, p.picture)": "True",
    "pickle.loads(pickle.dumps(p)).losses == p.losses": "True",
    "p == p, p == pickle.loads(pickle.dumps(p)), p in [p], len({p, p})": "(True, False, True, 1)",
    "[*p.losses]": "['iteration', 'evaluations', 'seconds', 'content', 'style', 'total']",
    "p.losses['total'][-1] == p.outcome.step.total": "True",
    "dir(nst_graph) == sorted(nst_graph.__all__)": "True",
    "nst_graph.paint(p, p, nst_graph.RECIPES['devos'], learning_rate=0.5, iterations=0).settings.rate": "0.5",
    "[step.iteration for step in nst_graph.steps('photo.jpg', 'monet.jpg', size=48, iterations=3)]": "[0, 1, 2, 3]",
}


@pytest.mark.parametrize("source", ANSWERS)
def test_cells(cell, source):
    *_, result = cell(source)
    assert result["output_type"] == "execute_result", result.get("traceback")
    assert result["data"]["text/plain"] == ANSWERS[source]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            "'photo.jpg', 'monet.jpg', pooling='maximum'",
            "OptionError",
            "pooling: maximum; give one of average, max, l2",
        ),
        ("'photo.jpg', 'monet.jpg', sise=256", "TypeError", "sise: no setting has this name; did you mean size[?]"),
        ("'photo.jpg', 'monet.jpg', 'studo'", "OptionError", "settings: studo; .*; did you mean studio[?]"),
        ("'photo.jpg', 'monnet.jpg'", "InputError", "monnet.jpg: no such file; name a picture file"),
        (
            "'photo.jpg', 'monet.jpg', read_limit=1e-6",
            "InputError",
            "photo.jpg: .* or raise read_limit, which is 1e-06 GB",
        ),
        ("'photo.jpg', 'monet.jpg', memory=0.1", "InputError", "size: 64; .*; add optimiser adam, .* a smaller size"),
        ("'photo.jpg', 'monet.jpg', depth=16, output='a.jpg'", "InputError", "depth: 16; a.jpg would .*"),
    ],
)
def test_mistakes_are_told_in_pythons_words(cell, arguments, error, words):
    (output,) = cell(f"nst_graph.paint({arguments}, progress=False)")
    assert output["ename"] == error
    assert re.fullmatch(words, output["evalue"])


def test_a_painting_that_is_interrupted_is_not_lost(cell):
    """By the signal that the stop button sends; what is shown is a line, and the painting so far is at hand."""
    cell("def stop(step):\n    if step.iteration == 3:\n        signal.raise_signal(signal.SIGINT)")
    paint = "nst_graph.paint('photo.jpg', 'monet.jpg', size=48, iterations=9, output='run', "
    *_, output = cell(f"{paint}observers=[stop])")
    assert output["ename"] == "Interrupted" and "3 iterations" in output["evalue"]
    assert output["traceback"] == [f"Interrupted: {output['evalue']}"]
    (result,) = cell("sys.last_value.painting")
    assert picture(result["data"]).shape == (36, 48, 3)
    caught = f"try:\n    {paint}overwrite=True, observers=[stop])\nexcept nst_graph.Interrupted as stopped:\n"
    assert printed(cell(f"{caught}    print(stopped.painting.losses['iteration'])")) == "[0, 1, 2, 3]\n"
    assert printed(cell(f"print({paint}resume=True).losses['iteration'])")) == f"{[*range(10)]}\n"
    begun = "threading.Timer(0.01, lambda: signal.raise_signal(signal.SIGINT)).start()"
    *_, output = cell(f"import threading\n{begun}\nnst_graph.paint('photo.jpg', 'monet.jpg', iterations=100000)")
    assert output["ename"] == "Interrupted" and len(output["traceback"]) == 1


def test_help(cell):
    """Types by their names, not by what NumPy's are made of."""
    text = printed(cell("help(nst_graph.paint)\nhelp(nst_graph.steps)\nhelp(nst_graph.Painting)\nhelp(nst_graph)"))
    assert "content: 'PictureLike'" in text and "-> 'Iterator[Step]'" in text and "picture: 'Picture'" in text
    assert "dtype[" not in text


def test_the_papers_notebook(tmp_path, vgg19_file):
    """Every cell runs, at a small size; and it is saved with its outputs, in less than a megabyte."""
    path = ROOT / "docs" / "paper.ipynb"
    notebook = nbformat.read(path, 4)
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert path.stat().st_size < 1_000_000
    assert sum("image/" in str(cell.outputs) for cell in codes) >= 8
    assert not re.search(r"/tmp|/home|/root|Traceback", path.read_text())
    (parameters,) = (cell for cell in codes if "parameters" in cell.metadata.get("tags", ()))
    parameters.source += "\nsize, iterations = 64, 3"
    for cell in codes:
        cell.outputs = []
    execute(notebook, path.parent).execute()
    assert sum("image/" in str(cell.outputs) for cell in codes) >= 8
