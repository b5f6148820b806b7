"""The weights of others: formats of files, shards, and names of the old days."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bertkit.checkpoint.folder import read_model_folder
from bertkit.errors import UserError

WEIGHTS = "model.safetensors"
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def folder(tiny_masked_model: Path, tmp_path: Path) -> Path:
    """A copy of a pretrained model, as transformers would leave it: without a card."""
    copy = tmp_path / "model"
    copy.mkdir()
    for file in tiny_masked_model.iterdir():
        if file.name != "bertkit.json":
            (copy / file.name).write_bytes(file.read_bytes())
    return copy


def take_weights(folder: Path) -> Tensors:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}
    (folder / WEIGHTS).unlink()
    return tensors


def halves(tensors: Tensors) -> list[Tensors]:
    names = sorted(tensors)
    return [{name: tensors[name] for name in part} for part in (names[::2], names[1::2])]


def index(folder: Path, name: str, shards: dict[str, Tensors]) -> None:
    places = {tensor: file for file, tensors in shards.items() for tensor in tensors}
    (folder / name).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def write_safetensors(folder: Path, tensors: Tensors) -> None:
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})


def write_safetensors_shards(folder: Path, tensors: Tensors) -> None:
    shards = {f"model-0000{i}-of-00002.safetensors": part for i, part in enumerate(halves(tensors), 1)}
    for name, part in shards.items():
        save_file(part, folder / name, {"format": "pt"})
    index(folder, "model.safetensors.index.json", shards)


def write_pickle(folder: Path, tensors: Tensors) -> None:
    torch.save(tensors, folder / "pytorch_model.bin")


def write_old_pickle(folder: Path, tensors: Tensors) -> None:
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def write_checkpoint(folder: Path, tensors: Tensors) -> None:
    torch.save({"state_dict": tensors, "epoch": 3}, folder / "pytorch_model.bin")


def write_pickle_shards(folder: Path, tensors: Tensors) -> None:
    shards = {f"pytorch_model-0000{i}-of-00002.bin": part for i, part in enumerate(halves(tensors), 1)}
    for name, part in shards.items():
        torch.save(part, folder / name)
    index(folder, "pytorch_model.bin.index.json", shards)


FORMATS = (
    write_safetensors,
    write_safetensors_shards,
    write_pickle,
    write_old_pickle,
    write_checkpoint,
    write_pickle_shards,
)


def same(folder: Path, expected: Path) -> None:
    found, wanted = read_model_folder(folder), read_model_folder(expected)
    assert set(found.unused) <= {"loss_fct.weight"}
    for part in ("encoder", "masked", "pair"):
        states = getattr(found, part).state_dict(), getattr(wanted, part).state_dict()
        torch.testing.assert_close(*states, atol=0, rtol=0)


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_gives_the_same_weights(write, folder, tiny_masked_model):
    write(folder, take_weights(folder))
    same(folder, tiny_masked_model)


def old_norms(tensors: Tensors) -> Tensors:
    endings = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    found = {}
    for name, tensor in tensors.items():
        ending = next((end for end in endings if name.endswith(end)), None)
        found[name.removesuffix(ending) + endings[ending] if ending else name] = tensor
    assert len({name for name in found if "gamma" in name}) == 6
    return found


def parallel(tensors: Tensors) -> Tensors:
    return {f"module.{name}": tensor for name, tensor in tensors.items()}


def compiled(tensors: Tensors) -> Tensors:
    """Parts compiled, all in a module of Lightning, whose loss has weights of its own."""
    found = {f"model.{name.replace('bert.', 'bert._orig_mod.')}": tensor for name, tensor in tensors.items()}
    return {f"_orig_mod.module.{name}": t for name, t in found.items()} | {"loss_fct.weight": torch.ones(2)}


def held(tensors: Tensors) -> Tensors:
    """The encoder in a module of the program's own, beside the head."""
    return {name.replace("bert.", "bert_model."): tensor for name, tensor in tensors.items()}


def unprefixed(tensors: Tensors) -> Tensors:
    return {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}


def tied(tensors: Tensors) -> Tensors:
    table = tensors["bert.embeddings.word_embeddings.weight"]
    bias = tensors["cls.predictions.bias"]
    copies = {"cls.predictions.decoder.weight": table.clone(), "cls.predictions.decoder.bias": bias.clone()}
    return tensors | copies


def decoder_bias_alone(tensors: Tensors) -> Tensors:
    tensors = tied(tensors)
    del tensors["cls.predictions.bias"]
    return tensors


@pytest.mark.parametrize(
    "change", [old_norms, parallel, compiled, held, unprefixed, tied, decoder_bias_alone]
)
def test_names_of_the_old_days(change, folder, tiny_masked_model):
    write_safetensors(folder, change(take_weights(folder)))
    same(folder, tiny_masked_model)


def test_two_names_for_one_tensor_are_refused(folder):
    tensors = take_weights(folder)
    tensors["bert.embeddings.LayerNorm.gamma"] = torch.ones(12)
    write_safetensors(folder, tensors)
    with pytest.raises(UserError, match=r"no part named bert.embeddings.LayerNorm.gamma"):
        read_model_folder(folder)


@pytest.mark.parametrize("name", ["config.json", "bert_config.json"])
def test_a_folder_of_pytorch_pretrained_bert(name, folder, tiny_masked_model):
    """2018: Google's keys and no more, norms with gamma and beta, a pickle, a vocabulary alone."""
    keys = "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act"
    keys += " hidden_dropout_prob attention_probs_dropout_prob max_position_embeddings type_vocab_size"
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").unlink()
    old = {key: content[key] for key in [*keys.split(), "initializer_range"]}
    (folder / name).write_text(json.dumps(old))
    write_old_pickle(folder, old_norms(tied(take_weights(folder))))
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    same(folder, tiny_masked_model)
    [assumed] = read_model_folder(folder).assumed
    assert "no tokenizer_config.json says do_lower_case" in assumed
    assert read_model_folder(folder).tokenizer.lowercase


def test_either_file_of_tokens_is_enough(folder, tiny_masked_model):
    wanted = read_model_folder(tiny_masked_model).tokenizer
    (folder / "vocab.txt").unlink()
    assert read_model_folder(folder).tokenizer.vocabulary == wanted.vocabulary
    wanted.save(folder)
    (folder / "tokenizer.json").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"do_lower_case": False}))
    found = read_model_folder(folder)
    assert found.tokenizer.vocabulary == wanted.vocabulary
    assert not found.tokenizer.lowercase
    assert found.assumed == ()


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_needs_code_is_refused_and_does_not_run(zipped, folder):
    tensors = take_weights(folder) | {"x": Evil(folder / "ran")}
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"would run code .* safetensors.torch.save_file") as caught:
        read_model_folder(folder)
    assert "\n" not in str(caught.value)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("write", [write_pickle, write_old_pickle])
def test_damaged_pickles_are_refused(write, folder):
    write(folder, take_weights(folder))
    file = folder / "pytorch_model.bin"
    whole = file.read_bytes()
    for damaged in (b"", b"pickle", b"\xff" * 99, whole[:50], whole[: len(whole) // 2], whole[:-30]):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match="damaged or cut short"):
            read_model_folder(folder)


def test_an_archive_that_unpacks_to_more_than_it_is(folder):
    take_weights(folder)
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("archive/data/0", bytes(1_000_000))
    with pytest.raises(UserError, match="damaged or cut short"):
        read_model_folder(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [([1.0], r"no table of tensors \(list\)"), ({"a": 1, "b": 2}, r"no table of tensors \(a, b\)")],
)
def test_a_pickle_of_other_things(content, message, folder):
    take_weights(folder)
    torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=message):
        read_model_folder(folder)


WRONG_INDEXES = {
    "above": ({"a": "../model.safetensors"}, "not beside it"),
    "absolute": ({"a": "/etc/passwd"}, "not beside it"),
    "windows": ({"a": "..\\x"}, "not beside it"),
    "nul": ({"a": "x\0"}, "not beside it"),
    "parent": ({"a": ".."}, "not beside it"),
    "missing": ({"a": "other.safetensors"}, "has no other.safetensors"),
    "no text": ({"a": 3}, "must say in which file"),
    "no map": (None, "must say in which file"),
}


@pytest.mark.parametrize(("places", "message"), WRONG_INDEXES.values(), ids=WRONG_INDEXES)
def test_indexes_that_lead_astray(places, message, folder):
    take_weights(folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    with pytest.raises(UserError, match=message):
        read_model_folder(folder)


def test_shards_that_do_not_belong_together(folder):
    write_safetensors_shards(folder, take_weights(folder))
    file = folder / "model.safetensors.index.json"
    content = json.loads(file.read_text())
    places = content["weight_map"]
    moved = next(iter(places))
    for changed, message in (
        ({name: place for name, place in places.items() if name != moved}, "denies"),
        (places | {"more": places[moved]}, "lacks more, which"),
    ):
        file.write_text(json.dumps({"weight_map": changed}))
        with pytest.raises(UserError, match=message):
            read_model_folder(folder)


def test_all_names_that_are_missing_are_listed(folder):
    tensors = take_weights(folder)
    for number in range(2):
        for end in ("weight", "bias"):
            del tensors[f"bert.encoder.layer.{number}.output.dense.{end}"]
    write_safetensors(folder, tensors)
    with pytest.raises(UserError, match=r"layer.0.output.dense.weight, .*layer.1.output.dense.bias are miss"):
        read_model_folder(folder)


def test_all_names_that_are_strange_are_listed(folder):
    tensors = take_weights(folder) | {f"adapter.{number}": torch.ones(1) for number in range(8)}
    write_safetensors(folder, tensors)
    with pytest.raises(UserError, match=r"no part named adapter.0, .*adapter.4 and 3 more"):
        read_model_folder(folder)


def test_views_that_would_fill_a_memory_are_refused(folder):
    tensors = take_weights(folder)
    few = torch.ones(1)
    for zipped in (True, False):
        torch.save(
            {name: few.expand(tensor.shape) for name, tensor in tensors.items()} | {"x": few.expand(1 << 30)},
            folder / "pytorch_model.bin",
            _use_new_zipfile_serialization=zipped,
        )
        with pytest.raises(UserError, match="made to fill a memory"):
            read_model_folder(folder)
    whole = torch.ones(1 << 16)
    torch.save({f"x.{i}": whole for i in range(3)}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="made to fill a memory"):
        read_model_folder(folder)


def test_tied_weights_of_one_storage_are_read(folder, tiny_masked_model):
    tensors = take_weights(folder)
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"]
    write_pickle(folder, tensors)
    same(folder, tiny_masked_model)


STRANGE = {
    "meta": lambda tensor: tensor.to("meta"),
    "sparse": lambda tensor: tensor.to_sparse(),
    "compressed": lambda tensor: tensor.to_sparse_csr(),
}


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("change", STRANGE.values(), ids=STRANGE)
def test_tensors_without_plain_numbers_are_refused(change, folder):
    tensors = take_weights(folder)
    name = "bert.pooler.dense.weight"
    torch.save(tensors | {name: change(tensors[name])}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=f"{name} in a form of its own"):
        read_model_folder(folder)


def test_names_of_strangers_are_shown_in_one_short_line(folder):
    name = "\x1b[31m\n" + "x" * 9_000
    write_safetensors(folder, take_weights(folder) | {name: torch.ones(1)})
    with pytest.raises(UserError) as caught:
        read_model_folder(folder)
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) < 400
    assert r"\x1b[31m\nxxx" in said


@pytest.mark.parametrize(("labels", "kind"), [(["no", "yes"], "classify"), (["x"], "regress")])
def test_a_classifier_of_pytorch_transformers_names_no_architecture(labels, kind, folder):
    tensors = {n: t for n, t in take_weights(folder).items() if not n.startswith("cls.")}
    tensors |= {"classifier.weight": torch.ones(len(labels), 12), "classifier.bias": torch.zeros(len(labels))}
    write_pickle(folder, tensors)
    content = json.loads((folder / "config.json").read_text())
    for key in ("architectures", "model_type"):
        del content[key]
    content |= {"num_labels": len(labels), "id2label": dict(enumerate(labels)), "finetuning_task": "x"}
    (folder / "config.json").write_text(json.dumps(content))
    found = read_model_folder(folder)
    assert found.head_config is not None
    assert (found.head_config.kind, found.head_config.labels) == (kind, tuple(labels))
    assert any("that the model is a BertForSequenceClassification" in sentence for sentence in found.assumed)


def test_questions_of_pytorch_transformers(folder):
    tensors = {n: t for n, t in take_weights(folder).items() if not n.startswith("cls.")}
    write_pickle(
        folder, tensors | {"qa_outputs.weight": torch.ones(2, 12), "qa_outputs.bias": torch.zeros(2)}
    )
    content = json.loads((folder / "config.json").read_text())
    del content["architectures"]
    (folder / "config.json").write_text(json.dumps(content))
    found = read_model_folder(folder)
    assert found.head_config is not None
    assert found.head_config.kind == "answer"
    assert any("BertForQuestionAnswering" in sentence for sentence in found.assumed)
