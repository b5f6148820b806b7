"""Make tensorflow_reference.json: what TensorFlow reads in checkpoints, and a bundle that it wrote.

It needs neither bertkit nor torch. Convert the real checkpoint with bertkit first, then run this in an
environment of its own, with BERTKIT_DATA the folder of real data:

    bertkit convert $BERTKIT_DATA/weights/tf1-tiny WRITTEN --to google
    pip install "tensorflow==2.21.*"
    BERTKIT_DATA=../shared/data python tests/parity/make_tensorflow_reference.py WRITTEN

Kept are hashes of the variables' bytes, and of the small bundle all of it.
"""

import base64
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

REAL = Path(os.environ["BERTKIT_DATA"]) / "weights" / "tf1-tiny"
WRITTEN = Path(sys.argv[1])


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def say(value: np.ndarray) -> str:
    """Type, shape and the first half of the hash of the bytes."""
    return f"{value.dtype} {list(value.shape)} {sha256(value.tobytes())[:32]}"


def variables(prefix: Path) -> dict[str, str]:
    """What TensorFlow reads of each variable; the moments of Adam are left out to keep the file small."""
    reader = tf.train.load_checkpoint(str(prefix))
    names = sorted(name for name in reader.get_variable_to_shape_map() if "/adam_" not in name)
    return {name: say(np.asarray(reader.get_tensor(name))) for name in names}


def values() -> list[dict[str, tf.Tensor]]:
    """For each of three data files, its tensors."""
    draw = np.random.default_rng(7)
    return [
        {
            "single": tf.constant(draw.standard_normal((3, 5)), tf.float32),
            "double": tf.constant(draw.standard_normal(7), tf.float64),
            "deep/er/name": tf.constant(draw.standard_normal((2, 3, 4)), tf.float32),
        },
        {
            "half": tf.constant(draw.standard_normal((4, 2)), tf.float16),
            "brain": tf.constant(draw.standard_normal(9), tf.bfloat16),
            "text": tf.constant(["a", "text"]),
        },
        {
            "long": tf.constant([2**40, -3], tf.int64),
            "int": tf.constant(-5, tf.int32),
            "bytes": tf.constant([0, 255], tf.uint8),
            # Keys that share their beginnings, and more of them than go without being spelled out again.
            **{f"many/of/them/variable_{i:03d}": tf.constant([float(i)]) for i in range(20)},
        },
    ]


def write_bundle(prefix: Path) -> None:
    """Three data files, one of them with a slice of a partitioned variable."""
    parts = []
    for shard, tensors in enumerate(values()):
        slices = [""] * len(tensors)
        if shard == 0:
            tensors["parted"] = tf.constant([[1.0, 2.0]])
            slices.append("2 2 0,1:-")
        part = f"{prefix}.part{shard}"
        tf.raw_ops.SaveV2(
            prefix=part,
            tensor_names=list(tensors),
            shape_and_slices=slices,
            tensors=list(tensors.values()),
        )
        parts.append(part)
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=str(prefix))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        prefix = Path(name) / "small"
        write_bundle(prefix)
        files = {path.name: path.read_bytes() for path in sorted(prefix.parent.iterdir())}
    small = {
        name: say(tensor.numpy())
        for tensors in values()
        for name, tensor in tensors.items()
        if name != "text"
    }
    written = [path for path in sorted(WRITTEN.iterdir()) if path.name.startswith("bert_model.ckpt.")]
    reference = {
        "tensorflow": tf.__version__,
        "real": variables(REAL / "bert_model.ckpt"),
        "written": {
            "latest": Path(tf.train.latest_checkpoint(str(WRITTEN))).name,
            "files": {path.name: sha256(path.read_bytes()) for path in written},
            "variables": variables(WRITTEN / "bert_model.ckpt"),
        },
        "small": {
            "files": {name: base64.b64encode(content).decode() for name, content in files.items()},
            "variables": small,
        },
    }
    target = Path(__file__).with_name("tensorflow_reference.json")
    target.write_text(json.dumps(reference, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
