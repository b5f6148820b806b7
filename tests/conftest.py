"""Fixtures that every room uses."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from bertkit.data.packed import Sequences

# Read when torch is first imported: threads that wait for each other cost more than these tests compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A deadline is a timed assertion: what it finds is a busy machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

LONG = ("test_docs.py", "test_processes.py", "test_demo.py", "test_study.py", "test_every_kind.py")
"""Files whose tests are few and long: first, so that none is left to one process when the others are done."""

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the long files come first; all else stays in its order."""
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name a case of bytes by its parameter and number.

    Bytes that are made as the tests are collected may hold the time: gzip writes it into its header.
    Processes that collect at different seconds would then disagree about the tests' names.
    """
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session", autouse=True)
def _float32() -> Iterator[None]:
    """Let "auto" mean fp32, as on a processor without native bf16, so that a test computes alike anywhere.

    What a test says of bf16 it says by name.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bertkit.model.compute.native_bf16", lambda: False)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; the test is skipped where there is none."""
    folder = Path(os.environ.get("BERTKIT_DATA", BESIDE))
    if not folder.is_dir():
        pytest.skip(f"no real data: BERTKIT_DATA is not set and {BESIDE} is not there")
    return folder


@pytest.fixture
def standard_input() -> Iterator[Callable[[bytes], None]]:
    """A function that puts bytes into a pipe in the place of this process's standard input."""
    before = os.dup(0)

    def give(content: bytes) -> None:
        ours, theirs = os.pipe()

        def write() -> None:
            with os.fdopen(theirs, "wb") as pipe:
                pipe.write(content)

        os.dup2(ours, 0)
        os.close(ours)
        threading.Thread(target=write, daemon=True).start()

    yield give
    os.dup2(before, 0)
    os.close(before)


class Heard:
    """Progress that is written down: of rows, characters and tokens what was announced, and what was done."""

    def __init__(self) -> None:
        self.rows, self.characters, self.tokens = 0, 0, 0
        self.rows_done, self.tokens_done = 0.0, 0

    def begin(self, rows: int, characters: int) -> None:
        self.rows = rows

    def block(self, characters: int, tokens: int) -> None:
        self.characters += characters
        self.tokens += tokens

    def done(self, rows: float, tokens: int) -> None:
        self.rows_done += rows
        self.tokens_done += tokens


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="session")
def random_sequences() -> Callable[..., Sequences]:
    """A function (lengths, vocabulary=99, seed=0) -> sequences of random tokens, each of two segments."""

    def make(lengths: list[int], vocabulary: int = 99, seed: int = 0) -> Sequences:
        generator = np.random.default_rng(seed)
        return Sequences(
            ids=generator.integers(0, vocabulary, sum(lengths)).astype(np.int32),
            starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            second=generator.integers(1, np.array(lengths) + 1).astype(np.int32),
        )

    return make


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights, a dozen words, and the labels bad, good and odd."""
    import torch

    from bertkit.checkpoint.folder import write_model_folder
    from bertkit.config.head import HeadConfig
    from bertkit.config.model import ModelConfig
    from bertkit.model.encoder import Encoder
    from bertkit.model.heads import ClassificationHead
    from bertkit.text.tokenizer import SPECIALS, Tokenizer

    words = ["a", "cat", "dog", "sat", "ran", "the", "mat", ".", "##s", "red", "old", "on"]
    tokenizer = Tokenizer.from_vocabulary([*SPECIALS, *words])
    config = ModelConfig(
        vocabulary_size=tokenizer.size,
        layers=2,
        hidden_size=12,
        heads=3,
        feedforward_size=20,
        max_positions=32,
        initialiser_range=0.8,
    )
    torch.manual_seed(11)
    encoder = Encoder(config)
    head = ClassificationHead(HeadConfig(labels=("bad", "good", "odd")), config)
    card = {"task": "toy", "kind": "classify", "max_length": 13, "pad_to": 0, "metric": "macro_f1"}
    card |= {"score": 0.5, "interval": [0.4, 0.6]}
    path = tmp_path_factory.mktemp("models") / "tiny"
    write_model_folder(path, encoder, head, tokenizer, card)
    return path


@pytest.fixture(scope="session")
def tiny_masked_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained model folder with random weights and a dozen words: BERT's masked and pair heads."""
    import torch

    from bertkit.checkpoint.folder import write_model_folder
    from bertkit.config.model import ModelConfig
    from bertkit.model.encoder import Encoder
    from bertkit.model.pretraining import MaskedHead, PairHead
    from bertkit.text.tokenizer import SPECIALS, Tokenizer

    words = ["a", "cat", "dog", "sat", "ran", "the", "mat", ".", "##s", "##ty", "old", "on"]
    tokenizer = Tokenizer.from_vocabulary([*SPECIALS, *words])
    config = ModelConfig(
        vocabulary_size=tokenizer.size,
        layers=2,
        hidden_size=12,
        heads=3,
        feedforward_size=20,
        max_positions=16,
        initialiser_range=0.8,
    )
    torch.manual_seed(12)
    path = tmp_path_factory.mktemp("models") / "masked"
    masked, pair = MaskedHead(config), PairHead(config)
    write_model_folder(path, Encoder(config), None, tokenizer, {}, masked=masked, pair=pair)
    return path
