import errno
import gzip
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

import bertkit
from bertkit.data import corpus as corpus_module
from bertkit.data import cutting, prepare, shards
from bertkit.data.corpus import CorpusReading
from bertkit.data.journal import JOURNAL, Journal
from bertkit.data.prepare import Options
from bertkit.data.shards import MANIFEST, Split, open_shards
from bertkit.errors import UserError
from bertkit.text.tokenizer import SPECIALS, Tokenizer

WORDS = [
    "a",
    "cat",
    "dog",
    "sat",
    "ran",
    "##s",
    ".",
    "!",
    *"0123456789",
    *(f"##{digit}" for digit in range(10)),
]
TOKENIZER = Tokenizer.from_vocabulary([*SPECIALS, *WORDS])
ALL = Options(heldout=0.0)


def run(texts: Any, out: Path, options: Options = ALL, **more: Any) -> dict[str, Any]:
    texts = texts if isinstance(texts, list) else [texts]
    return prepare.prepare(texts, TOKENIZER, out, options, **{"workers": 1, **more})


def contents(folder: Path, split: Split = "train") -> list[list[str]]:
    """Documents as lists of sentences, each its tokens with spaces between."""
    shards = open_shards(folder)
    found = []
    for entry in shards.of(split):
        documents = shards.read(entry)
        sentences = [
            " ".join(shards.tokenizer.vocabulary[i] for i in documents.ids[begin:end])
            for begin, end in zip(documents.sentences[:-1], documents.sentences[1:], strict=True)
        ]
        bounds = zip(documents.documents[:-1], documents.documents[1:], strict=True)
        found += [sentences[begin:end] for begin, end in bounds]
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def json_lines(*texts: Any) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def numbers(count: int, start: int = 0) -> list[str]:
    """Documents that all differ, of one or two sentences."""
    return [f"Cat {i}." + (f" Dog ran {i}!" if i % 3 else "") for i in range(start, start + count)]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of three documents, and the journal written after each."""
    monkeypatch.setattr(corpus_module, "CHUNK_ROWS", 3)
    monkeypatch.setattr(prepare, "SECONDS_BETWEEN_SAVES", -1.0)


@pytest.fixture
def corpus(tmp_path: Path) -> list[Path]:
    """Two files with 40 documents, three of them twice."""
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"]
    texts = numbers(37)
    paths[0].write_bytes(json_lines(*texts[:20], texts[3]))
    paths[1].write_bytes(gzip.compress(json_lines(*texts[20:], texts[0], texts[30]), mtime=0))
    return paths


def test_lines_of_json_become_documents_of_sentences(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(
        json_lines("A cat sat. Dogs ran!\n\nCats\n", "xyz ran", "", " \n", "A cat sat. Dogs ran!\n\nCats\n")
    )
    result = run(tmp_path / "t.jsonl", tmp_path / "out")
    expected = [["a cat sat .", "dog ##s ran !", "cat ##s"], ["[UNK] ran"]]
    assert contents(tmp_path / "out") == expected
    counts = open_shards(tmp_path / "out").counts
    tokens = " ".join(sentence for document in expected for sentence in document).split()
    assert {TOKENIZER.vocabulary[i]: n for i, n in enumerate(counts) if n} == {
        token: tokens.count(token) for token in tokens
    }
    assert (result["documents"], result["sentences"], result["tokens"], result["words"]) == (2, 4, 12, 10)
    assert (result["duplicates"], result["dropped"], result["problems"]) == (1, 2, 0)
    assert (result["tokens_per_word"], result["unknown"]) == (1.2, 0.1)
    assert result["sentence_lengths"]["50"] == 2
    assert result["sentence_lengths"]["100"] == 4
    assert result["document_lengths"]["100"] == 10
    assert result["samples"] == ["a cat sat .", "cat ##s", "[UNK] ran"]
    assert result["splits"]["heldout"] == {"documents": 0, "sentences": 0, "tokens": 0}


def test_the_manifest_says_what_was_done(corpus: list[Path], tmp_path: Path) -> None:
    result = run(corpus, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert manifest["report"].items() <= result.items()
    assert [Path(entry["path"]).name for entry in manifest["files"]] == ["a.jsonl", "b.jsonl.gz"]
    assert [entry["bytes"] for entry in manifest["files"]] == [path.stat().st_size for path in corpus]
    assert manifest["options"]["sentences"] == "auto"
    assert not (tmp_path / "out" / JOURNAL).exists()
    open_shards(tmp_path / "out").verify()


PLAIN = "A cat.\nDog ran. Dog sat.\n\n\nCats sat.\n"


@pytest.mark.parametrize(
    ("layout", "sentences", "expected"),
    [
        ("auto", "auto", [["a cat .", "dog ran .", "dog sat ."], ["cat ##s sat ."]]),
        ("blank", "lines", [["a cat .", "dog ran . dog sat ."], ["cat ##s sat ."]]),
        ("lines", "auto", [["a cat ."], ["dog ran .", "dog sat ."], ["cat ##s sat ."]]),
        ("auto", "length:4", [["a cat .", "dog ran . dog", "sat ."], ["cat ##s sat ."]]),
    ],
)
def test_plain_text(tmp_path: Path, layout, sentences, expected) -> None:
    (tmp_path / "t.txt").write_text(PLAIN)
    options = Options(heldout=0, sentences=sentences, reading=CorpusReading(layout=layout))
    run(tmp_path / "t.txt", tmp_path / "out", options)
    if sentences.startswith("length"):
        # The document is one text, whose words are not cut: a cat . dog | ran . dog sat | .
        expected = [["a cat . dog", "ran . dog sat", "."], ["cat ##s sat ."]]
    assert contents(tmp_path / "out") == expected


def test_a_length_cuts_before_a_word_unless_the_word_is_longer(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a cats sat 1234567 a")
    run(tmp_path / "t.txt", tmp_path / "out", Options(heldout=0, sentences="length:3"))
    expected = ["a cat ##s", "sat", "1 ##2 ##3", "##4 ##5 ##6", "##7 a"]
    assert contents(tmp_path / "out") == [expected]


def test_plain_text_without_a_blank_line_has_a_document_a_line(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("\n A cat.\nDog ran. Dog sat.\n\n")
    run(tmp_path / "t.txt", tmp_path / "out")
    assert contents(tmp_path / "out") == [["a cat ."], ["dog ran .", "dog sat ."]]


def test_a_document_without_an_end_is_cut_and_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("bertkit.data.corpus.LONGEST_DOCUMENT", 10)
    (tmp_path / "t.txt").write_text("A cat.\nDog ran.\nDog sat.\n\na\n")
    result = run(tmp_path / "t.txt", tmp_path / "out")
    assert contents(tmp_path / "out") == [["a cat .", "dog ran ."], ["dog sat ."], ["a"]]
    assert "t.txt, line 2: the document of line 1 is longer" in result["first_problems"][0]


def test_every_kind_of_file_gives_the_same(tmp_path: Path) -> None:
    texts = ["A cat sat. Dog!", "Dog ran."]
    lines = "\n".join(texts).encode()
    (tmp_path / "a.txt").write_bytes(lines)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "c.zst").write_bytes(zstandard.compress(lines))
    (tmp_path / "d.jsonl").write_bytes(json_lines(*texts))
    (tmp_path / "e.csv").write_bytes(b"text\n" + lines)
    paths = sorted(tmp_path.iterdir())
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        pass
    else:
        paths.append(tmp_path / "f.parquet")
        pyarrow.parquet.write_table(pyarrow.table({"text": texts}), paths[-1])
    options = Options(heldout=0, reading=CorpusReading(column="text"))
    for path in paths:
        run(path, tmp_path / f"{path.name}-out", options)
        assert contents(tmp_path / f"{path.name}-out") == [["a cat sat .", "dog !"], ["dog ran ."]]


def test_folders_and_patterns(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    for name in ("2.txt", "10.jsonl", "deep/1.txt.gz", "note.pdf"):
        (folder / name).touch()
    (folder / "2.txt").write_text("Cat 2")
    (folder / "10.jsonl").write_bytes(json_lines("Cat 10"))
    (folder / "deep" / "1.txt.gz").write_bytes(gzip.compress(b"Cat 1"))
    result = run(folder, tmp_path / "out")
    assert contents(tmp_path / "out") == [["cat 1 ##0"], ["cat 2"], ["cat 1"]]
    assert (result["files"], result["passed_over"]) == (3, 1)
    run([str(folder / "**" / "*.txt*")], tmp_path / "out2")
    assert contents(tmp_path / "out2") == [["cat 2"], ["cat 1"]]


def test_the_held_out_are_chosen_by_their_text(tmp_path: Path) -> None:
    texts = numbers(300)
    (tmp_path / "a.jsonl").write_bytes(json_lines(*texts))
    (tmp_path / "b.jsonl").write_bytes(json_lines(*texts[::-1]))
    for name in "ab":
        run(tmp_path / f"{name}.jsonl", tmp_path / name, Options(heldout=0.1))
    held = contents(tmp_path / "a", "heldout")
    assert held == contents(tmp_path / "b", "heldout")[::-1]
    # A binomial of 300 and 0.1 is between 15 and 45 in all but 0.4 % of all texts.
    assert 15 <= len(held) <= 45
    assert len(held) + len(contents(tmp_path / "a")) == 300
    assert open_shards(tmp_path / "a").counts.sum() == open_shards(tmp_path / "a").of("train")[0].tokens


def test_shards_are_full_and_do_not_depend_on_workers(corpus: list[Path], tmp_path: Path) -> None:
    options = Options(heldout=0.2, shard_tokens=30)
    result = run(corpus, tmp_path / "one", options)
    assert (result["documents"], result["duplicates"]) == (37, 3)
    run(corpus, tmp_path / "two", options, workers=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    entries = open_shards(tmp_path / "one").of("train")
    assert len(entries) > 3
    assert all(30 <= entry.tokens < 50 for entry in entries[:-1])


class Killed(BaseException):
    """What SIGKILL would be, if a program could see it."""


def test_it_goes_on_after_a_kill_anywhere(corpus: list[Path], tmp_path: Path, monkeypatch) -> None:
    options = Options(heldout=0.2, shard_tokens=30)
    run(corpus, tmp_path / "whole", options)
    whole = files(tmp_path / "whole")
    places = [(shards, "write_shard"), (Journal, "save"), (Journal, "see"), (prepare, "write_bytes")]
    for owner, name in places:
        real = getattr(owner, name)
        for moment in range(1, 99, 3):
            out = tmp_path / f"{name}{moment}"
            calls = 0

            def dying(*arguments: Any, real=real, moment=moment) -> Any:
                nonlocal calls
                calls += 1
                # Dead once, dead for good: what is done on the way out must not matter.
                if calls >= moment:
                    raise Killed
                return real(*arguments)

            monkeypatch.setattr(owner, name, dying)
            try:
                run(corpus, out, options)
            except Killed:
                monkeypatch.setattr(owner, name, real)
                assert not (out / MANIFEST).exists()
                run(corpus, out, options)
            else:
                monkeypatch.setattr(owner, name, real)
                break
            assert files(out) == whole, f"killed in call {moment} of {name}"
        assert moment > 1


PROGRAM = """
import sys
from bertkit.data import corpus, prepare
from bertkit.text.tokenizer import Tokenizer
corpus.CHUNK_ROWS = 20
prepare.SECONDS_BETWEEN_SAVES = 0.01
class Listener:
    def started(self, files, progress): print("begin", progress.documents, flush=True)
    def progressed(self, progress): print(progress.documents, flush=True)
    def finished(self, result): pass
vocabulary, text, out, workers = sys.argv[1:]
prepare.prepare([text], Tokenizer.from_vocabulary(vocabulary), out,
    prepare.Options(heldout=0.1, shard_tokens=500), workers=int(workers), listener=Listener())
"""


def test_real_processes_are_killed_and_go_on(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in TOKENIZER.vocabulary))
    text = tmp_path / "t.jsonl.gz"
    text.write_bytes(gzip.compress(json_lines(*numbers(4000))))

    def start(out: str, count: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, tmp_path / "vocab.txt", text, tmp_path / out, str(count)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    chance = random.Random(5)
    begun = []
    for count in (1, 2, 1):
        process = start("out", count)
        assert process.stdout is not None
        begun.append(int(process.stdout.readline().split()[1]))
        for _ in range(chance.randrange(5, 60)):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        assert not (tmp_path / "out" / MANIFEST).exists()
    assert 0 == begun[0] < begun[1] < begun[2]
    for out in ("out", "whole"):
        assert start(out, 1).communicate() is not None
    assert files(tmp_path / "out") == files(tmp_path / "whole")


class Interrupting:
    """A listener that stops everything after some documents."""

    def __init__(self, documents: int, error: BaseException) -> None:
        self.documents = documents
        self.error = error
        self.began = -1

    def started(self, files: int, progress: prepare.Progress) -> None:
        self.began = progress.documents

    def progressed(self, progress: prepare.Progress) -> None:
        assert progress.bytes <= progress.total or not progress.total
        if progress.documents >= self.documents:
            raise self.error

    def finished(self, result: dict[str, Any]) -> None:
        pass


def half(corpus: list[Path], out: Path, options: Options = ALL, documents: int = 30) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(corpus, out, options, listener=Interrupting(documents, KeyboardInterrupt()))


def test_ctrl_c_keeps_all_that_was_done(corpus: list[Path], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(prepare, "SECONDS_BETWEEN_SAVES", 1e9)
    half(corpus, tmp_path / "out")
    listener = Interrupting(10**9, KeyboardInterrupt())
    run(corpus, tmp_path / "out", listener=listener)
    assert listener.began >= 30
    run(corpus, tmp_path / "whole")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_what_changed_in_between_is_listed(corpus: list[Path], tmp_path: Path) -> None:
    half(corpus, tmp_path / "out")
    before = corpus[0].read_bytes()
    corpus[0].write_bytes(before + b"\n")
    with pytest.raises(UserError, match=r"a\.jsonl had [\d,]+ bytes and has .* say --overwrite"):
        run(corpus, tmp_path / "out")
    stat = corpus[0].stat()
    corpus[0].write_bytes(before.replace(b"Cat 1", b"Dog 1"))
    os.utime(corpus[0], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(UserError, match=r"a\.jsonl has another content"):
        run(corpus, tmp_path / "out")
    corpus[0].write_bytes(before)
    gz = corpus[1].read_bytes()
    corpus[1].write_bytes(gzip.compress(json_lines(*numbers(30, 50))))
    with pytest.raises(UserError, match=r"b\.jsonl\.gz has another content"):
        run(corpus, tmp_path / "out")
    corpus[1].write_bytes(gz)
    with pytest.raises(UserError, match=r"b\.jsonl\.gz is no longer among the files"):
        run(corpus[:1], tmp_path / "out")
    with pytest.raises(UserError, match="the order of the files"):
        run(corpus[::-1], tmp_path / "out")
    changed = Options(heldout=0.5, sentences="lines", reading=CorpusReading(column="body"))
    with pytest.raises(UserError) as caught:
        run(corpus, tmp_path / "out", changed)
    for part in ("heldout was 0.0 and is 0.5", "sentences was 'auto'", "column was None and is 'body'"):
        assert part in str(caught.value)
    other = Tokenizer.from_vocabulary(TOKENIZER.vocabulary, lowercase=False)
    with pytest.raises(UserError, match="lowercase was True and is False"):
        prepare.prepare(corpus, other, tmp_path / "out", ALL, workers=1)
    # As it was, it goes on; and with --overwrite anything goes.
    run(corpus, tmp_path / "out")
    run(corpus[:1], tmp_path / "out", changed.__class__(heldout=0), overwrite=True)
    assert len(contents(tmp_path / "out")) == 20


def test_overwriting_begins_anew(corpus: list[Path], tmp_path: Path) -> None:
    half(corpus, tmp_path / "out", Options(heldout=0.2, shard_tokens=20))
    assert list((tmp_path / "out").glob("*.safetensors"))
    run(corpus, tmp_path / "out", overwrite=True)
    run(corpus, tmp_path / "whole")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_file_that_broke_off_is_mended_and_read_on(corpus: list[Path], tmp_path: Path) -> None:
    whole = corpus[1].read_bytes()
    corpus[1].write_bytes(whole[:-20])
    with pytest.raises(UserError, match=r"b\.jsonl\.gz: the compressed data breaks off"):
        run(corpus, tmp_path / "out")
    corpus[1].write_bytes(whole)
    listener = Interrupting(10**9, KeyboardInterrupt())
    run(corpus, tmp_path / "out", listener=listener)
    assert listener.began >= 20
    run(corpus, tmp_path / "whole")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


BAD = b'{"text": "A cat."}\n{"text": 7}\n{oops\n{"body": "x"}\n[]\n{"text": "\xff"}\n{"text": "Dog."}\n'


def test_what_cannot_be_read_is_listed(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "t.jsonl").write_bytes(BAD)
    (tmp_path / "t.txt").write_bytes(b"Cat.\nb\xe9te\nsat\n\nran")
    paths = [tmp_path / "t.jsonl", tmp_path / "t.txt"]
    result = run(paths, tmp_path / "out")
    assert contents(tmp_path / "out") == [["a cat ."], ["dog ."], ["cat .", "sat"], ["ran"]]
    assert result["problems"] == 6
    expected = [
        "t.jsonl, line 2: 'text' is not a string but of type int",
        "t.jsonl, line 3: not JSON",
        "t.jsonl, line 4: there is no key 'text'",
        "t.jsonl, line 5: a JSON list",
        "t.jsonl, line 6: the byte 0xff is not UTF-8",
        "t.txt, line 2: the byte 0xe9 is not UTF-8",
    ]
    listed = (tmp_path / "out" / "problems.txt").read_text().splitlines()
    assert listed == result["first_problems"]
    for line, part in zip(listed, expected, strict=True):
        assert part in line
    monkeypatch.setattr(prepare, "PROBLEMS_SHOWN", 2)
    assert len(run(paths, tmp_path / "out", overwrite=True)["first_problems"]) == 2
    assert (tmp_path / "out" / "problems.txt").read_text().splitlines() == listed


def test_strict_stops_at_the_first(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(BAD)
    with pytest.raises(UserError, match=r"t\.jsonl, line 2: 'text' is not a string"):
        run(tmp_path / "t.jsonl", tmp_path / "out", strict=True)
    assert run(tmp_path / "t.jsonl", tmp_path / "out")["problems"] == 5


def test_standard_input_is_read_once(tmp_path: Path, monkeypatch) -> None:
    def pipe(content: bytes) -> None:
        (tmp_path / "in").write_bytes(content)
        os.dup2(os.open(tmp_path / "in", os.O_RDONLY), 0)

    kept = os.dup(0)
    try:
        pipe(b"A cat.\nDog ran.")
        run(["-"], tmp_path / "out")
        assert contents(tmp_path / "out") == [["a cat ."], ["dog ran ."]]
        pipe(json_lines(*numbers(10)))
        options = Options(heldout=0, reading=CorpusReading(kind=".jsonl"))
        with pytest.raises(KeyboardInterrupt):
            run(["-"], tmp_path / "half", options, listener=Interrupting(4, KeyboardInterrupt()))
        with pytest.raises(UserError, match="standard input, which cannot be read again; say --overwrite"):
            run(["-"], tmp_path / "half", options)
        pipe(json_lines(*numbers(10)))
        run(["-"], tmp_path / "half", options, overwrite=True)
        assert len(contents(tmp_path / "half")) == 10
    finally:
        os.dup2(kept, 0)


def test_a_full_disk_names_the_file_and_is_continued(corpus: list[Path], tmp_path: Path, monkeypatch) -> None:
    options = Options(heldout=0.2, shard_tokens=30)
    real = os.fsync

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("bertkit.data.shards.os.fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        run(corpus, tmp_path / "out", options)
    assert caught.value.errno == errno.ENOSPC
    assert Path(caught.value.filename).name.endswith("-00000.safetensors")
    monkeypatch.setattr("bertkit.data.shards.os.fsync", real)
    run(corpus, tmp_path / "out", options)
    run(corpus, tmp_path / "whole", options)
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_journal_that_cannot_grow_says_so(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal._base.execute("COMMIT")
        journal._base.execute("PRAGMA max_page_count = 12")
        journal._base.execute("BEGIN IMMEDIATE")
        with pytest.raises(OSError, match="No space left") as caught:
            journal.see(np.random.default_rng(0).integers(0, 256, (9_999, 16), np.uint8))
    assert caught.value.filename == str(tmp_path / JOURNAL)


def test_two_at_a_time_are_refused(corpus: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with Journal(tmp_path / "out"), pytest.raises(UserError, match="Another process prepares text in"):
        run(corpus, tmp_path / "out")


def test_a_journal_that_is_none(corpus: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / JOURNAL).write_bytes(b"no database" * 99)
    with pytest.raises(UserError, match="is damaged; say --overwrite"):
        run(corpus, tmp_path / "out")
    run(corpus, tmp_path / "out", overwrite=True)


def test_a_worker_that_dies_is_told_of(corpus: list[Path], tmp_path: Path, monkeypatch) -> None:
    run(corpus, tmp_path / "whole")
    real = cutting._start
    monkeypatch.setattr(cutting, "_start", die)
    with pytest.raises(UserError, match="A worker was killed"):
        run(corpus, tmp_path / "out", workers=2)
    monkeypatch.setattr(cutting, "_start", real)
    run(corpus, tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def die(*_: object) -> None:
    os._exit(1)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.txt", b"", "There is no document with a word in"),
        ("t.txt", b"\n \n", "There is no document with a word in"),
        ("t.jsonl", b"{bad", "1 places could not be read"),
        ("t.csv", b"a,b\n", "has columns; say which one holds the text"),
        (None, b"", "There is no file"),
        ("folder/x.pdf", b"", "has no file that ends in"),
        ("*.txt", None, "No file matches"),
    ],
)
def test_text_that_is_not_there(tmp_path: Path, name, content, sentence) -> None:
    path = tmp_path / (name or "missing")
    path.parent.mkdir(exist_ok=True)
    if name and content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        run(path.parent if name == "folder/x.pdf" else path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_something_must_be_left_to_train_on(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a cat")
    with pytest.raises(UserError, match="All 1 documents fell into the share that is held out"):
        run(tmp_path / "t.txt", tmp_path / "out", Options(heldout=0.9999))


def test_folders_that_are_taken(corpus: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file; choose another name"):
        run(corpus, tmp_path / "file")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    for overwrite in (False, True):
        with pytest.raises(UserError, match=r"holds other things, such as letter\.txt"):
            run(corpus, tmp_path / "mine", overwrite=overwrite)
    (tmp_path / "model").mkdir()
    TOKENIZER.save(tmp_path / "model")
    with pytest.raises(UserError, match="holds files that are no half-done shards"):
        run(corpus, tmp_path / "model")
    run(corpus, tmp_path / "out")
    with pytest.raises(UserError, match="holds finished shards; choose another folder or say --overwrite"):
        run(corpus, tmp_path / "out")


@pytest.mark.parametrize("options", [{"heldout": 1.0}, {"heldout": -0.1}, {"sentences": "?"}, {"words": "?"}])
def test_options_that_cannot_be_meant(corpus: list[Path], tmp_path: Path, options) -> None:
    with pytest.raises(UserError):
        run(corpus, tmp_path / "out", Options(**options))
    assert not (tmp_path / "out").exists()


def test_chinese_words(tmp_path: Path) -> None:
    pytest.importorskip("jieba")
    tokenizer = Tokenizer.from_vocabulary([*SPECIALS, *"东西很贵的。"])
    (tmp_path / "t.txt").write_text("东西很贵。的\n贵的")
    prepare.prepare(
        [tmp_path / "t.txt"], tokenizer, tmp_path / "out", Options(heldout=0, words="jieba"), workers=1
    )
    shards = open_shards(tmp_path / "out")
    documents = shards.read(shards.entries[0])
    assert documents.words is not None
    assert documents.words.tolist() == [True, False, *[True] * 6]
    assert shards.manifest["report"]["words"] == 7


def test_a_segmenter_that_is_not_installed(corpus: list[Path], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "jieba", None)
    for count in (1, 2):
        with pytest.raises(UserError, match=r"pip install 'bertkit\[chinese\]'"):
            run(corpus, tmp_path / "out", Options(words="jieba"), workers=count)
    assert not (tmp_path / "out").exists()


def test_from_python(corpus: list[Path], tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in TOKENIZER.vocabulary))
    result = bertkit.prepare(corpus, tmp_path / "vocab.txt", tmp_path / "out", ALL, workers=1)
    assert result["documents"] == 37
    again = bertkit.prepare(corpus, tmp_path / "out", tmp_path / "again", ALL, workers=1)
    assert again["tokens"] == result["tokens"]
