"""Strangers' files: bytes of every format are flipped, cut and put in, and values of every config replaced.

Whatever comes of it is a sentence, or a model; never another exception, a hang or gigabytes. Where the format
has checksums, the model that comes of it is the one that was written. Nothing can show a flip within the
weights of a safetensors file, or in a number of a config that makes sense: they have no checksum.
"""

import io
import json
import os
import resource
import shutil
import signal
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from bertkit.checkpoint.bundle import read_table, write_table
from bertkit.checkpoint.folder import ModelFolder, convert, read_model_folder, write_model_folder
from bertkit.cli import main
from bertkit.config.head import HeadConfig
from bertkit.errors import UserError
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead

# torch tells of pickles that look odd, as damaged ones do.
pytestmark = pytest.mark.filterwarnings("ignore")

MEMORY = 1 << 30
"""Bytes that reading a file of some kB may take on top of what the tests have, generously."""

SECONDS = 60
"""After which a reader hangs, on any machine."""

QUICK, LONG = 12, 300
"""Examples a file, in the normal and in the slow suite."""

DATA = "bert_model.ckpt.data-00000-of-00001"
INDEX = "bert_model.ckpt.index"

FILES: dict[str, tuple[str, str, bool]] = {
    "bundle's index": ("google", INDEX, True),
    "bundle's data": ("google", DATA, True),
    "Google's config": ("google", "bert_config.json", False),
    "archive": ("archive", "model.zip", True),
    "safetensors": ("hf", "model.safetensors", False),
    "config": ("hf", "config.json", False),
    "note": ("hf", "bertkit.json", False),
    "tokenizer": ("hf", "tokenizer.json", False),
    "settings": ("hf", "tokenizer_config.json", False),
    "vocabulary": ("vocabulary", "vocab.txt", False),
    "pickle": ("pickle", "pytorch_model.bin", True),
    "old pickle": ("old pickle", "pytorch_model.bin", False),
    "shards": ("shards", "model.safetensors.index.json", False),
    "pickle's shards": ("pickle shards", "pytorch_model.bin.index.json", True),
    "latest": ("google", "checkpoint", True),
    "ModernBERT's config": ("modern", "config.json", False),
    "bertkit's config": ("own", "config.json", False),
    "classifier's config": ("classifier", "config.json", False),
    "classifier's note": ("classifier", "bertkit.json", False),
    "modules": ("sentence", "modules.json", False),
    "pooling": ("sentence", "1_Pooling/config.json", False),
    "length": ("sentence", "sentence_bert_config.json", False),
}
"""By format: the folder, the file of it that is damaged, and whether checksums guard the weights."""


@pytest.fixture(scope="module")
def models(tiny_masked_model: Path, tiny_model: Path, tmp_path_factory) -> dict[str, Path]:
    """The same model in every format, and others whose configs say other things."""
    root = tmp_path_factory.mktemp("formats")
    folders = {name: root / name for name in {name for name, _, _ in FILES.values()}}
    convert(str(tiny_masked_model), folders["google"], to="google")
    for name in ("hf", "vocabulary", "pickle", "old pickle", "shards", "pickle shards", "sentence"):
        shutil.copytree(tiny_masked_model, folders[name])
    tensors = load_file(tiny_masked_model / "model.safetensors")
    for name in ("pickle", "old pickle"):
        (folders[name] / "model.safetensors").unlink()
        new = name == "pickle"
        torch.save(tensors, folders[name] / "pytorch_model.bin", _use_new_zipfile_serialization=new)
    (folders["vocabulary"] / "tokenizer.json").unlink()
    (folders["shards"] / "model.safetensors").rename(folders["shards"] / "model-1.safetensors")
    places = dict.fromkeys(tensors, "model-1.safetensors")
    (folders["shards"] / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (folders["pickle shards"] / "model.safetensors").unlink()
    torch.save(tensors, folders["pickle shards"] / "pytorch_model-1.bin")
    places = dict.fromkeys(tensors, "pytorch_model-1.bin")
    (folders["pickle shards"] / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))
    steps = [{"type": "a.Transformer", "path": ""}, {"type": "a.Pooling", "path": "1_Pooling"}]
    (folders["sentence"] / "modules.json").write_text(json.dumps(steps))
    (folders["sentence"] / "1_Pooling").mkdir()
    (folders["sentence"] / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    (folders["sentence"] / "sentence_bert_config.json").write_text(
        '{"max_seq_length": 9, "do_lower_case": true}'
    )
    shutil.copytree(tiny_model, folders["classifier"])
    write_others(folders, read_model_folder(tiny_masked_model))
    folders["archive"].mkdir()
    with zipfile.ZipFile(folders["archive"] / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folders["google"].iterdir():
            archive.write(path, f"inside/{path.name}")
    return folders


def write_others(folders: dict[str, Path], like: ModelFolder) -> None:
    """Models that BERT's layout cannot say, with heads that stand on cls."""
    options = {"norm": "pre", "positions": "rotary", "pooler": False}
    own = replace(like.encoder_config, **options)
    modern = replace(own, gated=True, segment_types=0, first_norm=False)
    for name, config in (("own", own), ("modern", modern)):
        head = HeadConfig(labels=("no", "yes"), pooling="cls", transform=True)
        parts = Encoder(config), ClassificationHead(head, config), like.tokenizer
        write_model_folder(folders[name], *parts, {})


@contextmanager
def limits() -> Iterator[None]:
    """Less memory and time than a fault would take; what exceeds them fails the test."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    before = resource.getrlimit(resource.RLIMIT_AS)

    def hangs(*_: object) -> None:
        raise TimeoutError("it hangs")

    former = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


def weights(folder: ModelFolder) -> dict[str, torch.Tensor]:
    found = {name: getattr(folder, name) for name in ("encoder", "head", "masked", "pair")}
    parts = {name: part for name, part in found.items() if part is not None}
    return {
        f"{name}.{key}": tensor for name, part in parts.items() for key, tensor in part.state_dict().items()
    }


def read(place: Path) -> ModelFolder | None:
    """The model, or None if a sentence said what is wrong; `bertkit inspect` says either too."""
    with limits():
        assert main(["inspect", str(place)]) in (0, 2)
        try:
            return read_model_folder(place)
        except UserError as error:
            said = str(error)
    assert said.endswith("."), "a full sentence"
    assert "\n" not in said, "in one line"
    return None


edits = st.lists(
    st.tuples(
        st.sampled_from(["flip", "put", "cut", "insert", "remove"]),
        st.floats(0, 1, exclude_max=True, allow_subnormal=False),
        st.integers(0, 7),
        st.sampled_from(
            [b"\0", b"\xff", b"\xff" * 8, b"\x80" * 11, struct.pack("<Q", 1 << 40), b"9" * 12, b"["]
        ),
    ),
    min_size=1,
    max_size=3,
)


def damage(content: bytes, changes: list[tuple[str, float, int, bytes]]) -> bytes:
    for kind, where, bit, put in changes:
        at = int(where * len(content))
        match kind:
            case "flip" if content:
                content = content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
            case "put":
                content = content[:at] + put + content[at + len(put) :]
            case "cut":
                content = content[:at]
            case "insert":
                content = content[:at] + put + content[at:]
            case "remove":
                content = content[:at] + content[at + 1 + bit :]
    return content


@contextmanager
def changed(file: Path, content: bytes) -> Iterator[None]:
    """`file` with another content, for the time of the block."""
    before = file.read_bytes()
    file.write_bytes(content)
    try:
        yield
    finally:
        file.write_bytes(before)


def fuzz(test: Callable[..., None], examples: int) -> Callable[..., None]:
    quiet = settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    return pytest.mark.parametrize("format", FILES)(quiet(given(changes=edits)(test)))


def check_damage(models: dict[str, Path], format: str, changes) -> None:
    name, file, guarded = FILES[format]
    place = models[name] / file if file.endswith(".zip") else models[name]
    content = (models[name] / file).read_bytes()
    with changed(models[name] / file, damage(content, changes)):
        found = read(place)
    if found is not None and guarded:
        expected = weights(read_model_folder(models["hf"]))
        assert all(torch.equal(tensor, expected[key]) for key, tensor in weights(found).items())
        assert weights(found).keys() == expected.keys()


def test_every_format_is_sound(models) -> None:
    for name, file, _ in FILES.values():
        found = read(models[name] / file if file.endswith(".zip") else models[name])
        assert found is not None
        source = name if name in ("modern", "own", "classifier") else "google"
        expected, tensors = weights(read_model_folder(models[source])), weights(found)
        assert tensors.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[key]) for key, tensor in tensors.items())


def _damaged_bytes(models, format, changes) -> None:
    check_damage(models, format, changes)


test_damaged_bytes = fuzz(_damaged_bytes, QUICK)
test_damaged_bytes_at_length = pytest.mark.slow(fuzz(check_damage, LONG))

VALUES = st.sampled_from(
    [
        *(None, True, 0, 1, -1, 3, 10**12, 2**63, -(10**30), 10**400, 0.5, 1e308, float("nan"), float("inf")),
        *("", "x", "[MASK]", "../x", "\ud800", [], [[]], {}, {"a": 1}, ["x"] * 3, [None], {"0": 0}),
    ]
)


def replaced(content: object, path: list[float], value: object) -> object:
    """`content` with `value` in place of what the numbers of `path` choose, level by level."""
    if not path or not isinstance(content, dict | list) or not content:
        return value
    keys = list(content) if isinstance(content, dict) else list(range(len(content)))
    key = keys[int(path[0] * len(keys))]
    copy = dict(content) if isinstance(content, dict) else list(content)
    copy[key] = replaced(content[key], path[1:], value)
    return copy


@pytest.mark.parametrize("format", [name for name, row in FILES.items() if row[1].endswith(".json")])
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    where=st.lists(st.floats(0, 1, exclude_max=True, allow_subnormal=False), min_size=1, max_size=4),
    value=VALUES,
)
def test_absurd_values(models, format: str, where, value) -> None:
    name, file, _ = FILES[format]
    content = json.loads((models[name] / file).read_text())
    with changed(models[name] / file, json.dumps(replaced(content, where, value)).encode()):
        read(models[name])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(row=st.floats(0, 1, exclude_max=True, allow_subnormal=False), key=st.booleans(), changes=edits)
def test_an_index_that_was_made_to_harm(models, row: float, key: bool, changes) -> None:
    """Its checksums are right; what it says is not."""
    file = models["google"] / INDEX
    rows = dict(read_table(file.read_bytes()))
    name = list(rows)[int(row * len(rows))]
    value = rows.pop(name)
    rows[damage(name, changes) if key else name] = value if key else damage(value, changes)
    with changed(file, write_table(sorted(rows.items()))):
        read(models["google"])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=edits)
def test_a_pickle_that_was_made_to_harm(models, changes) -> None:
    """Its archive's checksums are right; the pickle in it is not what torch wrote."""
    file = models["pickle"] / "pytorch_model.bin"
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, damage(content, changes) if name.endswith("data.pkl") else content)
    with changed(file, made.getvalue()):
        read(models["pickle"])


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("num_hidden_layers", 10**12, "layers cannot be 1,000,000,000,000; 1,000 is the most"),
        ("num_hidden_layers", 900, "too few for the 900 layers"),
        ("num_hidden_layers", -1, "layers must be a number of at least 1, not -1"),
        ("hidden_size", 10**40, "hidden_size cannot be 10,000"),
        ("hidden_size", 12.0, "hidden_size must be a whole number"),
        ("max_position_embeddings", 10**9, "max_positions cannot be"),
        ("layer_norm_eps", float("nan"), "norm_eps must be a number"),
        ("layer_norm_eps", float("inf"), "norm_eps cannot be inf"),
        ("type_vocab_size", True, "segment_types must be a number"),
        ("hidden_act", ["gelu"], r"hidden_act \['gelu'\] is not known"),
        ("vocab_size", 10**7, "the vocabulary has 17 tokens and the model 10000000"),
    ],
)
def test_absurd_configs_are_refused_in_a_sentence(models, key: str, value: object, words: str) -> None:
    for name, file in (("hf", "config.json"), ("google", "bert_config.json")):
        content = json.loads((models[name] / file).read_text()) | {key: value}
        with (
            changed(models[name] / file, json.dumps(content).encode()),
            limits(),
            pytest.raises(UserError, match=words),
        ):
            read_model_folder(models[name])


def test_a_table_of_sinusoids_of_any_size_is_refused(models) -> None:
    file = models["hf"] / "bertkit.json"
    content = json.loads(file.read_text())
    content["model"] |= {"positions": "sinusoidal"}
    config = json.loads((models["hf"] / "config.json").read_text()) | {"max_position_embeddings": 1 << 20}
    config |= {"hidden_size": 1 << 16, "num_attention_heads": 1}
    with (
        changed(file, json.dumps(content).encode()),
        changed(models["hf"] / "config.json", json.dumps(config).encode()),
        pytest.raises(UserError, match="are a table of more than 268,435,456 numbers"),
    ):
        read_model_folder(models["hf"])


def test_nested_brackets_are_no_crash(models) -> None:
    for name, file in (
        ("hf", "config.json"),
        ("hf", "tokenizer.json"),
        ("shards", "model.safetensors.index.json"),
    ):
        with (
            changed(models[name] / file, b"[" * 200_000),
            pytest.raises(UserError, match=f"{file} is not JSON"),
        ):
            read_model_folder(models[name])
