"""Files of other programs, where a model is looked for: what they are, and the way to a model."""

from __future__ import annotations

from pathlib import Path

_ANEW = "with transformers 4: AutoModel.from_pretrained(FOLDER, {}=True).save_pretrained(NEW)"
FOREIGN: tuple[tuple[str, str], ...] = (
    ("tf_model*.h5", f"TensorFlow weights of transformers; write them anew {_ANEW.format('from_tf')}"),
    ("flax_model*.msgpack", f"Flax weights of transformers; write them anew {_ANEW.format('from_flax')}"),
    ("saved_model.pb", "a program of TensorFlow; take the checkpoint that it was exported from"),
    ("*.onnx", "an ONNX graph, for inference alone; take the model that it was exported from"),
    ("onnx/*.onnx", "an ONNX graph, for inference alone; take the model that it was exported from"),
    ("openvino*.xml", "an OpenVINO graph, for inference alone; take the model that it was exported from"),
    (
        "adapter_model.*",
        "an adapter of PEFT without its model; merge them with merge_and_unload() and save that",
    ),
    ("*.gguf", "weights of llama.cpp; take the model that they were converted from"),
    ("rust_model.ot", "weights of rust-bert; take model.safetensors or pytorch_model.bin of the same model"),
    ("*.ckpt.data-*", "the data of a TensorFlow checkpoint; copy the file that ends in .index there, too"),
    ("*.ckpt", "a checkpoint of PyTorch Lightning; save the model in it with save_pretrained"),
)
"""Patterns of files, and what they are."""


def what_else(folder: Path) -> str:
    """A sentence, after a space, on the first file in the folder that is another program's; else nothing."""
    for pattern, told in FOREIGN:
        if found := sorted(folder.glob(pattern)):
            return f" {found[0].relative_to(folder)} is {told}."
    return ""
