"""Agreement with TensorFlow about its bundles, and of a real checkpoint with transformers."""

import base64
import hashlib
import json
from pathlib import Path

import pytest
import torch
from transformers import BertForPreTraining

from bertkit.checkpoint.bundle import open_bundle
from bertkit.checkpoint.folder import convert, read_model_folder
from bertkit.cli import main
from bertkit.data.packed import pack
from bertkit.errors import UserError
from bertkit.model.pretraining import Pretrainer, PretrainingBatch

# Made by make_tensorflow_reference.py.
REFERENCE = json.loads(Path(__file__).with_name("tensorflow_reference.json").read_text(encoding="utf-8"))


def say(tensor: torch.Tensor) -> str:
    """Type, shape and hash, as the script says them."""
    content = tensor.reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
    kind = str(tensor.dtype).removeprefix("torch.")
    return f"{kind} {list(tensor.shape)} {hashlib.sha256(content).hexdigest()[:32]}"


@pytest.fixture
def real(shared_data: Path) -> Path:
    folder = shared_data / "weights" / "tf1-tiny"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The prefix of the bundle that TensorFlow wrote."""
    for name, content in REFERENCE["small"]["files"].items():
        (tmp_path / name).write_bytes(base64.b64decode(content))
    return tmp_path / "small"


def test_a_bundle_of_three_files_and_many_types_reads_as_tensorflow_wrote_it(small: Path) -> None:
    bundle = open_bundle(small)
    assert bundle.shards == 3
    variables = REFERENCE["small"]["variables"]
    assert bundle.entries.keys() == variables.keys() | {"text", "parted"}
    assert {name: say(tensor) for name, tensor in bundle.read(variables).items()} == variables
    with pytest.raises(UserError, match="parted is a partitioned variable"):
        bundle.read(["parted"])
    with pytest.raises(UserError, match="text holds no numbers"):
        bundle.read(["text"])


def test_the_real_checkpoint_reads_as_tensorflow_reads_it(real: Path) -> None:
    bundle = open_bundle(real / "bert_model.ckpt")
    assert len(bundle.entries) == 139
    read = bundle.read(REFERENCE["real"])
    assert {name: say(tensor) for name, tensor in read.items()} == REFERENCE["real"]


def test_tensorflow_read_what_is_written_today(real: Path, tmp_path: Path) -> None:
    convert(str(real), tmp_path / "written", to="google")
    written = REFERENCE["written"]
    for name, digest in written["files"].items():
        content = (tmp_path / "written" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
    # What tf.train.latest_checkpoint made of this text is in the reference.
    lines = [
        f'{key}: "{written["latest"]}"\n' for key in ("model_checkpoint_path", "all_model_checkpoint_paths")
    ]
    assert (tmp_path / "written" / "checkpoint").read_text(encoding="utf-8") == "".join(lines)
    bundle = open_bundle(tmp_path / "written" / "bert_model.ckpt")
    read = {name: say(tensor) for name, tensor in bundle.read(bundle.entries).items()}
    assert read == written["variables"]


@torch.no_grad()
def test_the_real_checkpoint_computes_as_in_transformers(
    real: Path, tmp_path: Path, random_sequences
) -> None:
    convert(str(real), tmp_path / "hf", to="hf")
    theirs, report = BertForPreTraining.from_pretrained(tmp_path / "hf", output_loading_info=True)
    assert not any(report.values()), report
    folder = read_model_folder(real)
    assert folder.masked is not None
    ours = Pretrainer(folder.encoder, folder.masked, folder.pair).eval()
    inputs = pack(random_sequences([16], vocabulary=15), [0])
    all_T = torch.arange(16)
    logits_MV, pairs_B2 = ours(PretrainingBatch(inputs, all_T, all_T, torch.tensor([0])))
    output = theirs.eval()(inputs.ids_T[None], token_type_ids=inputs.segments_T[None])
    torch.testing.assert_close(logits_MV, output.prediction_logits[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(pairs_B2, output.seq_relationship_logits, atol=1e-6, rtol=0)


def test_the_real_checkpoint_is_inspected(real: Path, capsys) -> None:
    assert main(["inspect", str(real)]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["ignored"] == "46 x adam_m, 46 x adam_v, global_step: of its training"
    assert lines["parameters"] == "701: embeddings 140, layers 488, pooler 20, masked 43, pair 10"
