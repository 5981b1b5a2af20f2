import hashlib
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fastnet.data import DownloadError, cifar10
from fastnet.data.download import cache_folder, download

from .files import write_archive

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        folder = self.path.split("/")[1]
        if folder == "missing":
            self.send_error(404)
            return
        content = self.server.content
        self.send_response(200)
        if folder != "unsized":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if folder == "damaged":
            content = content[:-1] + b"?"
        elif folder == "cut":
            content = content[:-1000]
        elif folder == "silent":
            self.wfile.write(content[:1000])
            self.wfile.flush()
            self.server.ended.wait(10)
            return
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.content, server.ended = [], CONTENT, threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.ended.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("folder", ["good", "unsized"])
def test_downloads_with_a_progress_bar(server, tmp_path, capsys, folder):
    path = download("file.bin", SHA256, [f"{server.url}/{folder}/"], tmp_path / "new")
    assert path == tmp_path / "new" / "file.bin" and path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["file.bin"]
    assert "file.bin" in capsys.readouterr().err


def test_goes_on_to_the_next_mirror(server, tmp_path, capsys):
    sources = [f"{server.url}/{folder}" for folder in ("missing", "damaged", "cut", "good", "never")]
    assert download("f", SHA256, sources, tmp_path, progress=False).read_bytes() == CONTENT
    assert server.asked == ["/missing/f", "/damaged/f", "/cut/f", "/good/f"]
    assert capsys.readouterr().err == ""


def test_names_every_failure_and_leaves_nothing_behind(server, tmp_path):
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        sources = [*(f"{server.url}/{folder}" for folder in ("missing", "damaged", "cut", "silent")),
                   f"http://127.0.0.1:{taken.getsockname()[1]}", "nonsense"]
        with pytest.raises(DownloadError) as error:
            download("f", SHA256, sources, tmp_path, timeout=0.3, progress=False)
    lines = str(error.value).splitlines()
    digest = hashlib.sha256(CONTENT[:-1] + b"?").hexdigest()
    assert lines[0] == "f could not be downloaded:"
    for line, source, reason in zip(lines[1:], sources, [
            "Not Found", f"SHA-256 is {digest}, expected {SHA256}: not the same file, or damaged on its way",
            "the connection ended after 1,047,576 of 1,048,576 bytes", "timed out", "refused", "unknown url type"],
            strict=True):
        assert line.startswith(f"  {source}/f: ") and reason in line
    assert list(tmp_path.iterdir()) == []


def test_cifar10_is_fetched_from_the_mirror_in_the_variable(server, binary, tmp_path, monkeypatch):
    module = sys.modules["fastnet.data.cifar10"]
    server.content = write_archive(tmp_path / "original.tar.gz", "cifar-10-batches-bin", binary).read_bytes()
    monkeypatch.setenv("FASTNET_MIRRORS", f"{server.url}/missing, {server.url}/good")
    monkeypatch.setattr(module, "MIRRORS", ("http://127.0.0.1:9/last",))
    with pytest.raises(DownloadError, match="expected c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59b"):
        cifar10(progress=False)
    assert list(cache_folder().iterdir()) == []
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(server.content).hexdigest())
    train, test = cifar10(progress=False)
    assert len(train) == 15 and len(test) == 6
    kept = tmp_path / "cache" / "fastnet" / "cifar-10-binary.tar.gz"
    assert train.source == str(kept) and kept.read_bytes() == server.content
    server.asked.clear()
    cifar10()
    assert server.asked == []


@pytest.mark.parametrize(("platform", "variables", "expected"), [
    ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/fastnet"),
    ("linux", {}, "/home/me/.cache/fastnet"),
    ("darwin", {}, "/home/me/Library/Caches/fastnet"),
    ("win32", {"LOCALAPPDATA": "/local"}, "/local/fastnet"),
])
def test_cache_folder(monkeypatch, platform, variables, expected):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder().as_posix() == expected
