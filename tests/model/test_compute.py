"""The choice of the number format, and what bfloat16 does to a model."""

import subprocess
import sys

import pytest
import torch

from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.data.packed import pack
from bertkit.model import compute
from bertkit.model.compute import Compute, native_bf16
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead, Classifier


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 sse\n", True),
        ("flags : amx_bf16", True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("flags\t\t: fpu avx512f avx512_vnni\nbugs : none\n", False),
        ("model name : avx512_bf16\n", False),
        ("", False),
    ],
)
def test_native_bf16_is_read_from_the_flags(text, expected, tmp_path):
    (tmp_path / "cpuinfo").write_text(text)
    assert native_bf16(tmp_path / "cpuinfo") is expected


def test_no_flags_no_bf16(tmp_path):
    assert not native_bf16(tmp_path / "missing")


@pytest.mark.parametrize("native", [True, False])
def test_choice(native, monkeypatch):
    monkeypatch.setattr(compute, "native_bf16", lambda: native)
    assert Compute.choose("auto") == Compute("bf16" if native else "fp32")
    assert Compute.choose("fp32") == Compute("fp32")
    assert Compute.choose("bf16") == Compute("bf16")


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_bf16_is_close_and_keeps_weights_gradients_and_residuals_in_fp32(norm, random_sequences):
    config = ModelConfig(
        vocabulary_size=99, layers=2, hidden_size=28, heads=7, feedforward_size=44, norm=norm
    )
    model = Classifier(Encoder(config), ClassificationHead(HeadConfig(labels=("a", "b", "c")), config)).eval()
    batch = pack(random_sequences([7, 3, 3, 13, 1]), range(5))
    labels_B = torch.tensor([0, 1, 2, 1, 0])
    gradients = {}
    seen: dict[str, torch.dtype] = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output.dtype}))
    for kind in ("fp32", "bf16"):
        model.zero_grad()
        with Compute(kind).autocast():
            loss = model.losses(model(batch), labels_B, batch).mean()
        loss.backward()
        gradients[kind] = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert loss.dtype == torch.float32
    assert gradients["bf16"].dtype == torch.float32
    cosine = torch.cosine_similarity(gradients["fp32"], gradients["bf16"], dim=0)
    assert 0.99 < cosine < 1 - 1e-7
    assert seen["encoder.blocks.1.intermediate"] == torch.bfloat16
    assert seen["encoder.blocks.1.attention"] == torch.bfloat16
    assert seen["encoder.blocks.0"] == torch.float32
    assert seen["encoder.blocks.1.output_norm"] == torch.float32


@pytest.mark.parametrize(("flush", "remaining"), [("flush_denormals()", 0), ("", 4_000_000)])
def test_denormals_are_flushed_in_every_thread(flush, remaining):
    # In a process of its own: threads that run already would not take the setting over.
    program = f"""
import torch
from bertkit.model.compute import flush_denormals
torch.set_num_threads(2)
{flush}
denormal = torch.full((4_000_000,), 1e-30) * 1e-10
print((denormal * 1e30 != 0).sum().item())
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(found.stdout) == remaining
