"""Downloads of data sets, against a server on loopback that cuts, lies, or is not there."""

import hashlib
import io
import json
import socket
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bertkit.cli import main
from bertkit.data.fetch import CHUNK, PARTS, FetchListener, fetch_source
from bertkit.data.sources import Download, Source
from bertkit.errors import UserError


class Server(ThreadingHTTPServer):
    """Files {name: bytes}; the first `cuts` answers break off after `after` bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.files: dict[str, bytes] = {}
        self.cuts, self.after = 0, CHUNK + 1000
        self.version = '"one"'
        self.ranges = True
        self.asked: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        server, name = self.server, self.path.removeprefix("/")
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if name not in server.files:
            self.send_error(404)
            return
        content, begin = server.files[name], 0
        if asked and server.ranges and self.headers["If-Range"] == server.version:
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.send_header("ETag", server.version)
        self.end_headers()
        cut = server.cuts > 0
        server.cuts -= cut
        self.wfile.write(content[begin : begin + server.after] if cut else content[begin:])
        if cut:
            self.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


CONTENT = bytes(range(256)) * 1000


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def source_of(server: Server, content: bytes = CONTENT, **changes) -> Source:
    server.files["rows.tsv"] = content
    download = Download(url=f"{server.url}/rows.tsv", digest=digest(CONTENT), keep={"": "train.tsv"})
    return Source(folder="set", licence="CC0", cite="Us", downloads=(replace(download, **changes),))


def fetch(source: Source, folder: Path, **options) -> dict:
    return fetch_source(source, folder, task="toy", **options)


class Heard(FetchListener):
    def __init__(self) -> None:
        self.begun: list[tuple[str, int, int]] = []
        self.bytes = 0

    def began(self, name: str, done: int, total: int) -> None:
        self.begun.append((name, done, total))

    def moved(self, count: int) -> None:
        self.bytes += count


def test_a_file_is_fetched_checked_and_put_in_place(server: Server, tmp_path: Path) -> None:
    heard = Heard()
    found = fetch(source_of(server), tmp_path / "set", listener=heard)
    assert (tmp_path / "set/train.tsv").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["train.tsv"]
    assert heard.begun == [("rows.tsv", 0, len(CONTENT))]
    assert heard.bytes == len(CONTENT)
    assert found["files"] == ["train.tsv"]
    assert found["downloads"] == [
        {
            "url": f"{server.url}/rows.tsv",
            "bytes": len(CONTENT),
            "sha256": digest(CONTENT).removeprefix("sha256:"),
            "checked": True,
        }
    ]


def test_a_cut_download_is_taken_up_again_where_it_was(server: Server, tmp_path: Path) -> None:
    server.cuts = 2
    heard = Heard()
    fetch(source_of(server), tmp_path, listener=heard)
    assert (tmp_path / "train.tsv").read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={CHUNK}-", f"bytes={2 * CHUNK}-"]
    assert heard.begun == [("rows.tsv", done, len(CONTENT)) for done in (0, CHUNK, 2 * CHUNK)]


def test_a_connection_that_is_cut_for_good_is_said_and_the_next_call_goes_on(
    server: Server, tmp_path: Path
) -> None:
    server.cuts = 99
    told = r"rows\.tsv broke off after 196,608 of 256,000 bytes; the same command goes on.* by hand: "
    with pytest.raises(UserError, match=told):
        fetch(source_of(server), tmp_path)
    assert not (tmp_path / "train.tsv").exists()
    server.cuts, server.asked = 0, []
    fetch(source_of(server), tmp_path)
    assert server.asked == [f"bytes={3 * CHUNK}-"]
    assert (tmp_path / "train.tsv").read_bytes() == CONTENT


@pytest.mark.parametrize("how", ["another version", "no ranges"])
def test_what_cannot_go_on_is_begun_anew(how: str, server: Server, tmp_path: Path) -> None:
    server.cuts = 3
    with pytest.raises(UserError, match="broke off"):
        fetch(source_of(server, b"x" * 300_000, digest=""), tmp_path)
    server.ranges = how != "no ranges"
    server.version = '"two"' if how == "another version" else server.version
    fetch(source_of(server), tmp_path)
    assert (tmp_path / "train.tsv").read_bytes() == CONTENT


def test_a_wrong_digest_is_said_and_nothing_is_used(server: Server, tmp_path: Path) -> None:
    other = b"other" * 1000
    with pytest.raises(UserError, match=f"has the sha256 {digest(other)[7:]} and not {digest(CONTENT)[7:]}"):
        fetch(source_of(server, other), tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    fetch(source_of(server), tmp_path)
    assert (tmp_path / "train.tsv").read_bytes() == CONTENT


def test_another_algorithm_is_used_where_only_that_is_published(server: Server, tmp_path: Path) -> None:
    right = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    assert fetch(source_of(server, digest=right), tmp_path)["downloads"][0]["checked"]
    with pytest.raises(UserError, match="has the md5"):
        fetch(source_of(server, CONTENT + b"!", digest=right), tmp_path)


def test_without_a_known_digest_the_one_that_was_found_is_told(server: Server, tmp_path: Path) -> None:
    found = fetch(source_of(server, digest=""), tmp_path)["downloads"][0]
    assert (found["checked"], found["sha256"]) == (False, digest(CONTENT)[7:])


def test_a_missing_file_is_said_with_the_steps_by_hand(server: Server, tmp_path: Path) -> None:
    told = r"gone\.tsv answers 404 .*`bertkit data fetch toy`; or download .*--from FOLDER"
    with pytest.raises(UserError, match=told):
        fetch(source_of(server, url=f"{server.url}/gone.tsv"), tmp_path)
    assert len(server.asked) == 1


def test_without_a_network_the_steps_by_hand_are_told(server: Server, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/rows.tsv"
    with pytest.raises(UserError, match=r"cannot be reached: is there a network\?.*--from FOLDER"):
        fetch(source_of(server, url=url), tmp_path)


def test_a_full_disk_is_said(server: Server, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no device here that is always full")
    (tmp_path / PARTS).mkdir()
    (tmp_path / PARTS / "rows.tsv.part").symlink_to("/dev/full")
    with pytest.raises(
        UserError, match=r"toy cannot be put into .*: No space left on device\. Make room.*--to"
    ):
        fetch(source_of(server), tmp_path)


def test_files_that_a_browser_has_downloaded_are_checked_and_stay(server: Server, tmp_path: Path) -> None:
    source = source_of(server)
    local = tmp_path / "downloads"
    local.mkdir()
    with pytest.raises(UserError, match=r"There is no .*downloads/rows\.tsv; it is what http"):
        fetch(source, tmp_path / "set", local=local)
    (local / "rows.tsv").write_bytes(b"no")
    with pytest.raises(UserError, match="has the sha256"):
        fetch(source, tmp_path / "set", local=local)
    assert (local / "rows.tsv").read_bytes() == b"no"
    (local / "rows.tsv").write_bytes(CONTENT)
    fetch(source, tmp_path / "set", local=local)
    assert (tmp_path / "set/train.tsv").read_bytes() == CONTENT
    assert (local / "rows.tsv").exists()
    assert server.asked == []


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize("packed", [zipped, tarred], ids=["zip", "tar.gz"])
def test_of_an_archive_only_what_is_kept_is_unpacked(packed, server: Server, tmp_path: Path) -> None:
    files = {"set/train.tsv": b"rows", "set/neg/1.txt": b"a", "set/neg/2.txt": b"b", "../evil": b"x"}
    source = source_of(
        server, packed(files), digest="", keep={"set/train.tsv": "train.tsv", "set/neg/": "train/neg/"}
    )
    (tmp_path / "set/train/neg").mkdir(parents=True)
    (tmp_path / "set/train/neg/old.txt").write_text("of another version")
    found = fetch(source, tmp_path / "set")
    assert found["files"] == ["train/neg", "train.tsv"]
    here = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert here == {"set/train.tsv", "set/train/neg/1.txt", "set/train/neg/2.txt"}


def test_an_archive_cannot_write_elsewhere(server: Server, tmp_path: Path) -> None:
    source = source_of(server, zipped({"set/../../../evil": b"x"}), digest="", keep={"set/": "set/"})
    with pytest.raises(UserError, match="leads out of its folder"):
        fetch(source, tmp_path / "set")
    assert not (tmp_path / "evil").exists()


def test_an_archive_that_lacks_a_file_or_is_none_is_named(server: Server, tmp_path: Path) -> None:
    source = source_of(server, zipped({"set/dev.tsv": b"rows"}), digest="", keep={"set/train.tsv": "t"})
    with pytest.raises(UserError, match=r"has no set/train\.tsv"):
        fetch(source, tmp_path / "one")
    with pytest.raises(UserError, match=r"rows\.tsv is damaged, or no archive"):
        fetch(source_of(server, b"not packed", digest="", keep={"a": "b"}), tmp_path / "two")


def test_tables_are_made_of_other_layouts(server: Server, tmp_path: Path) -> None:
    trees = {f"trees/{split}.txt": b"(3 (2 a) (2 film))\n" for split in ("train", "dev", "test")}
    keep = {f"trees/{split}.txt": f"{split}.trees" for split in ("train", "dev", "test")}
    source = replace(source_of(server, zipped(trees), digest="", keep=keep), maker="treebank")
    assert fetch(source, tmp_path)["files"] == ["dev.tsv", "test.tsv", "train.tsv"]
    assert (tmp_path / "train.tsv").read_text() == "sentence\tlabel\na film\t3\n"


def test_what_only_a_person_can_get_is_said(tmp_path: Path) -> None:
    source = Source(folder="set", licence="-", cite="-", manual="ask NIST for the corpus")
    with pytest.raises(UserError, match=rf"toy cannot be fetched: ask NIST.*put the files into {tmp_path}"):
        fetch(source, tmp_path)


def test_the_command_shows_the_licence_first(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    rows = {"glue/RTE": replace(source_of(server), folder="glue/RTE")}
    monkeypatch.setattr("bertkit.tasks.here.sources", lambda: rows)
    assert main(["data", "fetch", "rte", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[:2] == ["licence  CC0", "cite     Us"]
    assert json.loads(out)["folder"] == str(tmp_path / "bertkit/glue/RTE")
    assert main(["data", "fetch", "rte"]) == 0
    assert "the digest is the published one" in capsys.readouterr().out
    assert (tmp_path / "bertkit/glue/RTE/train.tsv").read_bytes() == CONTENT


def test_a_task_of_ones_own_has_nothing_to_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("BERTKIT_TASKS", str(tmp_path))
    (tmp_path / "mine.toml").write_text('train = "rows.csv"\n')
    assert main(["data", "fetch", "mine"]) == 2
    assert "'mine' is a task of your own: its rows are where" in capsys.readouterr().err
