"""Downloads from a server on this machine: checksums, mirrors, atomicity."""

import gzip
import hashlib
import io
import pickle
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from fastnn.vision.datasets import CIFAR10, MNIST
from fastnn.vision.datasets.download import download, has_md5
from fastnn.vision.datasets.idx import write_idx

CONTENT = bytes(range(256)) * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; what lies under /cut/ breaks off in the middle."""

    def do_GET(self):
        self.server.requests.append(self.path)
        if not self.path.startswith("/cut/"):
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2])
        return None

    def log_message(self, *args):
        """Quiet."""


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as http:
        http.requests = []
        http.folder = folder
        http.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield http
        http.shutdown()
        thread.join()


def names(folder):
    return sorted(p.name for p in Path(folder).iterdir())


def test_download_and_keep(server, tmp_path, capsys):
    (server.folder / "file").write_bytes(CONTENT)
    target = tmp_path / "to" / "here"
    assert download([server.url], "file", target, MD5) == target / "file"
    assert (target / "file").read_bytes() == CONTENT
    assert "file" in capsys.readouterr().err  # the progress bar
    download([server.url + "/"], "file", target, MD5)
    assert server.requests == ["/file"]
    assert names(target) == ["file"]


def test_the_next_mirror_is_tried(server, tmp_path):
    for name in ("good", "wrong"):
        (server.folder / name).mkdir()
    (server.folder / "good" / "file").write_bytes(CONTENT)
    (server.folder / "wrong" / "file").write_bytes(CONTENT[:-1] + b"x")
    mirrors = [f"{server.url}/{name}/" for name in ("absent", "wrong", "cut", "good")]
    download(["http://127.0.0.1:9/", *mirrors], "file", tmp_path / "to", MD5)
    assert (tmp_path / "to" / "file").read_bytes() == CONTENT
    assert server.requests == ["/absent/file", "/wrong/file", "/cut/file", "/good/file"]


def test_a_damaged_file_is_replaced(server, tmp_path):
    (server.folder / "file").write_bytes(CONTENT)
    (tmp_path / "file").write_bytes(b"damaged")
    download([server.url], "file", tmp_path, MD5)
    assert has_md5(tmp_path / "file", MD5)


def test_no_mirror_works(server, tmp_path):
    (server.folder / "file").write_bytes(b"other")
    target = tmp_path / "to"
    target.mkdir()
    (target / "file").write_bytes(b"old")
    with pytest.raises(RuntimeError) as caught:
        download([server.url, f"{server.url}/cut"], "file", target, MD5)
    message = str(caught.value)
    assert f"could not download file to {target}" in message
    assert f"expected MD5 {MD5}, found {hashlib.md5(b'other').hexdigest()} (5 bytes)" in message
    assert f"{server.url}/cut/file" in message
    assert "128000 of 256000" in message or "IncompleteRead" in message
    assert names(target) == ["file"]
    assert (target / "file").read_bytes() == b"old"


def make_mnist(server):
    """A class of three images a split, served by the server."""
    images = np.arange(3 * 784, dtype=np.uint8).reshape(3, 28, 28)
    resources = []
    for name, _ in MNIST.resources:
        path = server.folder / name
        write_idx(path, images if "images" in name else np.arange(3, dtype=np.uint8))
        resources.append((name, hashlib.md5(path.read_bytes()).hexdigest()))

    class Tiny(MNIST):
        mirrors = (f"{server.url}/absent", server.url)

    Tiny.resources = tuple(resources)
    return Tiny, images


def test_mnist(server, tmp_path):
    tiny, images = make_mnist(server)
    root = tmp_path / "sets"
    with pytest.raises(RuntimeError, match="download=True"):
        tiny(root)
    dataset = tiny(root, download=True)
    np.testing.assert_array_equal(dataset.data.numpy(), images)
    plain = [name.removesuffix(".gz") for name, _ in tiny.resources]
    assert names(root / "Tiny" / "raw") == sorted([name for name, _ in tiny.resources] + plain)
    server.requests.clear()
    assert len(tiny(root, train=False, download=True)) == 3
    assert server.requests == []


def test_mnist_offline(tmp_path):
    class Offline(MNIST):
        mirrors = ("http://127.0.0.1:9/mnist/",)

    with pytest.raises(RuntimeError, match=r"(?s)could not download train-images.*127\.0\.0\.1:9"):
        Offline(tmp_path, download=True)


def make_archive(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def cifar_members():
    batches = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    batch = {b"data": np.ones((2, 3072), np.uint8), b"labels": [1, 2]}
    members = {f"cifar-10-batches-py/{name}": pickle.dumps(batch, 2) for name in batches}
    return {**members, "cifar-10-batches-py/batches.meta": b"", "../escaped": b"x", "/tmp/x": b"x"}


def cifar_class(content, mirror):
    class Tiny(CIFAR10):
        mirrors = (mirror,)
        tgz_md5 = hashlib.md5(content).hexdigest()

    return Tiny


def test_cifar(server, tmp_path):
    content = make_archive(cifar_members())
    (server.folder / CIFAR10.filename).write_bytes(content)
    root = tmp_path / "sets"
    dataset = cifar_class(content, server.url)(root, download=True)
    assert len(dataset) == 10
    assert dataset.targets[:2] == [1, 2]
    # Only the files wanted came out of the archive.
    assert names(root) == ["cifar-10-batches-py", CIFAR10.filename]
    assert len(names(root / "cifar-10-batches-py")) == 7
    assert not (tmp_path / "escaped").exists()


def test_cifar_uses_an_archive_that_is_there(tmp_path):
    content = make_archive(cifar_members())
    (tmp_path / CIFAR10.filename).write_bytes(content)
    assert len(cifar_class(content, "http://127.0.0.1:9")(tmp_path, download=True)) == 10


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"not a tar archive, but long enough to look like one" * 20),
        make_archive({"other": b"x"}),
        make_archive(cifar_members())[:-200],
    ],
)
def test_cifar_refuses_a_wrong_archive(tmp_path, content):
    (tmp_path / CIFAR10.filename).write_bytes(content)
    with pytest.raises(ValueError, match=r"tar\.gz: not the archive"):
        cifar_class(content, "http://127.0.0.1:9")(tmp_path, download=True)
