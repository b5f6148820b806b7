"""Models of the hub, against a server on loopback that speaks as much of its protocol as the client needs."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest

from bertkit.checkpoint.folder import read_model_folder, write_model_folder
from bertkit.checkpoint.locate import find_model, hub_card, needed
from bertkit.errors import UserError
from bertkit.infer.inspect import inspect

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLDER = "fedcba9876543210fedcba9876543210fedcba98"


class Hub(ThreadingHTTPServer):
    """Repositories {name: {commit: {file: bytes}}}; the branch main is the first commit of each."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {}
        self.sent: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def log_message(self, *_) -> None:
        pass

    def answer(self, body: bool) -> None:
        path = unquote(urlsplit(self.path).path).removeprefix("/")
        api = path.startswith("api/models/")
        parts = path.removeprefix("api/models/").split("/")
        name, rest = "/".join(parts[:2]), parts[2:]
        if name == "owner/gated":
            return self.refuse(403, "GatedRepo")
        if name not in self.server.repositories:
            return self.refuse(404, "RepoNotFound")
        commits = self.server.repositories[name]
        revision = rest[1] if len(rest) > 1 else "main"
        commit = next(iter(commits)) if revision == "main" else revision
        if commit not in commits:
            return self.refuse(404, "RevisionNotFound")
        files = commits[commit]
        if api and rest[:1] == ["tree"]:
            return self.send(json.dumps([entry(*item) for item in files.items()]).encode(), commit, body)
        if api:
            content = {
                "id": name,
                "modelId": name,
                "sha": commit,
                "private": False,
                "tags": [],
                "downloads": 0,
            }
            content["siblings"] = [{"rfilename": file} for file in files]
            return self.send(json.dumps(content).encode(), commit, body)
        file = "/".join(rest[2:])
        if file not in files:
            return self.refuse(404, "EntryNotFound")
        if body:
            self.server.sent.append(file)
        return self.send(files[file], commit, body)

    def send(self, content: bytes, commit: str, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def entry(path: str, content: bytes) -> dict:
    return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> Iterator[Hub]:
    """A hub with one model, `owner/tiny`, of two commits; its cache is empty."""
    from huggingface_hub import constants

    server = Hub()
    files = {file.name: file.read_bytes() for file in tiny_model.iterdir() if file.name != "bertkit.json"}
    extra = {"README.md": b"#", "pytorch_model.bin": b"old", "tf_model.h5": b"x", "onnx/model.onnx": b"y"}
    server.repositories["owner/tiny"] = {COMMIT: files | extra, OLDER: files}
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_only_what_is_needed_is_fetched_once(hub: Hub, tiny_model: Path) -> None:
    path = find_model("hf:owner/tiny")
    assert path is not None
    files = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]
    assert sorted(hub.sent) == files
    assert sorted(file.name for file in path.iterdir()) == files
    folder = read_model_folder(path)
    assert folder.tokenizer.vocabulary == read_model_folder(tiny_model).tokenizer.vocabulary
    assert find_model("hf:owner/tiny") == path
    assert sorted(hub.sent) == files


def test_the_commit_goes_with_the_weights(hub: Hub, tmp_path: Path) -> None:
    path = find_model("hf:owner/tiny")
    assert path is not None
    origin = {"model": "owner/tiny", "commit": COMMIT}
    assert hub_card(path) == {"hub": origin}
    folder = read_model_folder(path)
    assert folder.card == {"hub": origin}
    write_model_folder(tmp_path / "saved", folder.encoder, folder.head, folder.tokenizer, folder.card)
    assert json.loads((tmp_path / "saved" / "bertkit.json").read_text())["hub"] == origin
    assert hub_card(tmp_path / "saved") == {"hub": origin}
    assert inspect(str(tmp_path / "saved"))["origin"] == {"hub": origin}


def test_a_revision(hub: Hub) -> None:
    path = find_model(f"hf:owner/tiny@{OLDER}")
    assert path is not None
    assert hub_card(path) == {"hub": {"model": "owner/tiny", "commit": OLDER}}


def test_offline_the_cache_answers(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    path = find_model("hf:owner/tiny")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.sent.clear()
    assert find_model("hf:owner/tiny") == path
    assert find_model(f"hf:owner/tiny@{COMMIT}") == path
    assert hub.sent == []
    for name in (f"hf:owner/tiny@{OLDER}", "hf:owner/other"):
        with pytest.raises(UserError, match="not in the hub's cache, and HF_HUB_OFFLINE forbids"):
            find_model(name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hf:owner/none", r"hf:owner/none is not at http://127.0.0.1.*, or it is private"),
        ("hf:owner/gated", "open only to those whom its owner lets in"),
        ("hf:owner/tiny@v2", r"hf:owner/tiny@v2 is a revision that the model at .* does not have"),
        ("hf:", r"write hf:OWNER/NAME"),
        ("hf:a/b/c", r"write hf:OWNER/NAME"),
        ("hf:../b", r"write hf:OWNER/NAME"),
        ("hf:owner/data", "has no config.json"),
    ],
)
def test_what_cannot_be_fetched(hub: Hub, name: str, sentence: str) -> None:
    hub.repositories["owner/data"] = {COMMIT: {"rows.csv": b"1"}}
    with pytest.raises(UserError, match=sentence) as caught:
        find_model(name)
    assert "\n" not in str(caught.value)


def test_a_hub_that_does_not_answer(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(UserError, match=r"could not be fetched .* set HF_HUB_OFFLINE=1"):
        find_model("hf:owner/tiny")


def test_the_command_line_finds_the_hub_by_its_variables(hub: Hub, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "bertkit", "inspect", "hf:owner/tiny"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert f"owner/tiny, commit {COMMIT}" in run.stdout


NEEDED = {
    "pickles only without safetensors": (
        ["config.json", "vocab.txt", "pytorch_model.bin", "flax_model.msgpack"],
        ["config.json", "vocab.txt", "pytorch_model.bin"],
    ),
    "shards": (
        [
            "config.json",
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "pytorch_model.bin.index.json",
            "pytorch_model-00001-of-00002.bin",
        ],
        [
            "config.json",
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
        ],
    ),
    "sentence-transformers": (
        [
            "modules.json",
            "config_sentence_transformers.json",
            "0_Transformer/bert_config.json",
            "0_Transformer/pytorch_model.bin",
            "0_Transformer/vocab.txt",
            "1_Pooling/config.json",
            "2_Dense/pytorch_model.bin",
            "openvino/config.json",
        ],
        [
            "modules.json",
            "config_sentence_transformers.json",
            "0_Transformer/bert_config.json",
            "0_Transformer/vocab.txt",
            "0_Transformer/pytorch_model.bin",
            "1_Pooling/config.json",
        ],
    ),
    "no model": (["README.md", "vocab.txt", "pytorch_model.bin"], []),
}


@pytest.mark.parametrize(("files", "expected"), NEEDED.values(), ids=NEEDED)
def test_needed(files: list[str], expected: list[str]) -> None:
    assert needed(files) == expected


@pytest.mark.parametrize("said", [3, {"model": "a"}, {"model": 1, "commit": "c"}, None])
def test_what_a_stranger_says_of_the_hub_may_be_anything(said, tiny_model: Path, tmp_path: Path) -> None:
    for file in tiny_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    note = json.loads((tmp_path / "bertkit.json").read_text()) | {"hub": said}
    (tmp_path / "bertkit.json").write_text(json.dumps(note))
    assert "hub" not in read_model_folder(tmp_path).card


def test_what_is_trained_from_the_hub_keeps_the_commit(hub: Hub, tmp_path: Path) -> None:
    from bertkit import finetune

    rows = "sentence,label\na cat sat,good\nthe dog ran,bad\n"
    for part in ("train", "dev"):
        (tmp_path / f"{part}.csv").write_text(rows * 2)
    task = {"train": str(tmp_path / "train.csv"), "dev": str(tmp_path / "dev.csv"), "text": "sentence"}
    changes = {"task": task, "training": {"epochs": 1}, "batch": {"max_length": 9}}
    finetune(model="hf:owner/tiny", out=tmp_path / "run", changes=changes)
    card = json.loads((tmp_path / "run" / "model" / "bertkit.json").read_text())
    assert card["hub"] == {"model": "owner/tiny", "commit": COMMIT}
