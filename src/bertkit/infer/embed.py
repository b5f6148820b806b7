"""Texts to vectors, and these to a file: the states of any layers, pooled.

These are the features of Devlin et al. 2018, section 5.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch

from bertkit.checkpoint.atomic import replace_file
from bertkit.checkpoint.folder import ModelFolder
from bertkit.config.head import Combination, Pooling
from bertkit.config.model import layer_numbers
from bertkit.config.reading import Reading
from bertkit.data.columnar import need_pyarrow
from bertkit.data.packed import Sequences, answerable
from bertkit.data.packing import encode_texts
from bertkit.data.tables import BadRow, Row
from bertkit.errors import UserError, check_choice
from bertkit.infer.rows import (
    ROWS_AT_ONCE,
    SILENT,
    Progress,
    Tally,
    Texts,
    begin_block,
    checked_texts,
    in_blocks,
)
from bertkit.model.bulk import TOKENS, After, batches_by_length, in_batches
from bertkit.model.compute import Compute
from bertkit.model.pooling import combined, over_tokens, over_windows, pool
from bertkit.text.tokenizer import Encoding

EmbedPooling = Literal["cls", "mean", "max", "pooler", "words"]

WORD_CHARACTERS_AT_ONCE = 50_000
"""Characters of a block where every word has its vector: these are many times as large as their text."""

ENDINGS = (".npy", ".parquet")

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """What becomes of the states of a text's tokens.

    Attributes:
        layers: see `config.layer_numbers`.
        combine: the layers' sum or their concatenation.
        poolings: how tokens become a vector; of several the vectors are laid end to end.
        normalise: divide each vector by its length.
        dimensions: of each vector, so normalised or not, the first so many are kept; None: all.
        normalise_kept: divide what is kept by its length.
    """

    layers: tuple[int, ...] = (-1,)
    combine: Combination = "sum"
    poolings: tuple[EmbedPooling, ...] = ("mean",)
    normalise: bool = False
    dimensions: int | None = None
    normalise_kept: bool = False

    @property
    def by_word(self) -> bool:
        """Whether every word has a vector, and not every text."""
        return self.poolings == ("words",)

    @property
    def of_tokens(self) -> tuple[Pooling, ...]:
        """The poolings of a whole text."""
        return tuple(each for each in self.poolings if each != "words")


@dataclass(frozen=True)
class WordVectors:
    """The words of a text, the (start, end) of their characters in it, and their vectors [words, W].

    What stands between spaces is a word, and so is a punctuation mark or a Chinese character. A word's
    vector is the mean of its tokens'.
    """

    words: list[str]
    spans: list[tuple[int, int]]
    vectors: Vectors


class Embedder:
    """An encoder with its tokenizer, and how its states become vectors.

    Attributes:
        name: what the user called the model.
        embedding: what becomes of the states.
        reading: how texts become sequences.
        width: of a vector, W.
        compute: where and in which number format.
    """

    def __init__(
        self, folder: ModelFolder, name: str, compute: Compute, reading: Reading, embedding: Embedding
    ) -> None:
        self.name = name
        self.compute = compute
        self.embedding = embedding
        self.reading = reading
        self._tokenizer = folder.tokenizer
        self._encoder = folder.encoder
        numbers = layer_numbers(embedding.layers, folder.encoder_config.layers)
        joined = len(numbers) if embedding.combine == "concat" else 1
        self._joined = joined * folder.encoder_config.hidden_size
        self._whole = self._joined * len(embedding.poolings)
        self.width = min(self._whole, embedding.dimensions or self._whole)

    def embed(self, texts: Texts, pairs: Texts | None = None) -> Vectors | list[WordVectors]:
        """Vectors of N texts, or N pairs of texts, in the order given.

        Returns:
            float32 [N, W]; with the pooling "words" the words of each text.

        Raises:
            UserError: an argument holds something else than strings, or the weights make no numbers.
        """
        first, second = checked_texts(texts, pairs)
        return self._embed(first, second, SILENT, 0)[0]

    def embed_rows(
        self, rows: Iterable[Row | BadRow], tally: Tally, *, progress: Progress = SILENT
    ) -> Iterator[tuple[list[Row | BadRow], Vectors | list[WordVectors]]]:
        """Blocks of rows with the vectors of the good ones among them, in constant memory.

        `tally` counts what goes by; `progress` is told how far it has come.
        """
        characters = WORD_CHARACTERS_AT_ONCE if self.embedding.by_word else None
        for block in in_blocks(rows, ROWS_AT_ONCE, characters_at_once=characters):
            found, sequences = self._embed(block.good.texts, block.good.pairs, progress, block.characters)
            block.answered(tally, sequences, progress)
            yield block.rows, found

    def _embed(
        self, texts: list[str], pairs: list[str] | None, progress: Progress, characters: int
    ) -> tuple[Vectors | list[WordVectors], Sequences]:
        if self.embedding.by_word and pairs is not None:
            raise UserError("Words have vectors in single texts; leave out the second texts.")
        sequences = encode_texts(self._tokenizer, texts, pairs, **asdict(self.reading))
        after = begin_block(progress, sequences, characters)
        by_word = self.embedding.by_word
        found = self._words(texts, sequences, after) if by_word else self._texts(sequences, after)
        arrays = [each.vectors for each in found] if isinstance(found, list) else [found]
        if not all(np.isfinite(each).all() for each in arrays):
            raise UserError(f"{self.name} makes vectors that are no numbers: its weights are damaged.")
        return found, sequences

    def _texts(self, sequences: Sequences, after: After) -> Vectors:
        """One vector a row, [N, W]."""
        apart, how, poolings = replace(sequences, windows=None), self.embedding, self.embedding.of_tokens

        def answer(rows: npt.NDArray[np.int64]) -> torch.Tensor:
            batch = apart.batch(rows)
            if len(poolings) == 1:
                return pool(self._encoder, batch, poolings[0], how.layers, how.combine).float()
            states_TW = combined(self._encoder, batch, how.layers, how.combine)
            return torch.cat([over_tokens(states_TW, batch, each) for each in poolings], dim=1).float()

        found = in_batches(
            self._encoder,
            apart.lengths,
            self._whole,
            answer,
            compute=self.compute,
            tokens=TOKENS,
            after=after,
        )
        if sequences.windows is not None and len(sequences):
            counts = sequences.windows.counts.tolist()
            parts = zip(torch.split(torch.from_numpy(found), self._joined, dim=1), poolings, strict=True)
            found = torch.cat([over_windows(part, counts, each) for part, each in parts], dim=1).numpy()
        kept = (_normalised(found) if how.normalise else found)[:, : self.width]
        return np.ascontiguousarray(_normalised(kept) if how.normalise_kept else kept)

    def _words(self, texts: list[str], sequences: Sequences, after: After) -> list[WordVectors]:
        """The words of each text, but those that were cut off."""
        encodings = [self._tokenizer.encode(text) for text in texts]
        firsts = np.arange(len(texts) + 1)
        offsets = np.zeros(len(texts), dtype=np.int64)
        if sequences.windows is not None:
            firsts, offsets = sequences.windows.firsts, sequences.windows.offsets
        # Of each sequence: which text, and the tokens of it that are taken from here.
        parts: list[tuple[int, int, int]] = []
        states = []
        for text, (start, end) in enumerate(pairwise(firsts.tolist())):
            length = len(encodings[text].ids)
            sizes = np.minimum(sequences.sizes[start:end] - 2, length - offsets[start:end])
            spans = answerable(offsets[start:end], sizes)
            parts += [(text, *span) for span in spans]
            states.append(np.empty((spans[-1][1], self._joined), dtype=np.float32))
        apart, how = replace(sequences, windows=None), self.embedding
        self._encoder.eval()
        with torch.inference_mode(), self.compute.autocast():
            for rows in batches_by_length(apart.lengths, TOKENS):
                batch = apart.batch(rows)
                found_TW = combined(self._encoder, batch, how.layers, how.combine).float().numpy()
                for row, place in zip(rows.tolist(), batch.starts_B.tolist(), strict=True):
                    text, start, end = parts[row]
                    first = place + 1 + start - offsets[row]  # behind [CLS]
                    states[text][start:end] = found_TW[first : first + end - start]
                after(rows)
        found = [_word_vectors(*each) for each in zip(texts, encodings, states, strict=True)]
        return (
            [replace(each, vectors=_normalised(each.vectors)) for each in found] if how.normalise else found
        )


def embedding_of(
    folder: ModelFolder,
    name: str,
    layers: Sequence[int] | None,
    combine: Combination | None,
    pooling: EmbedPooling | None,
    normalise: bool | None,
) -> Embedding:
    """What is asked for; otherwise what a folder of sentence-transformers says, or the mean of all tokens.

    Raises:
        UserError: there is no such pooling, layer or combination, or the folder's own is none of bertkit's.
    """
    for field, value, known in (("pooling", pooling, EmbedPooling), ("combine", combine, Combination)):
        if value is not None:
            check_choice("embed", field, value, known)
    asked: dict[str, Any] = {"layers": layers and tuple(layers), "combine": combine, "normalise": normalise}
    asked["poolings"] = pooling and (pooling,)
    usual = Embedding()
    if folder.pooling is not None and pooling is None:
        unknown = [mode for mode in folder.pooling.modes if mode not in get_args(EmbedPooling)]
        if unknown or folder.pooling.beyond:
            parts = ", ".join([*unknown, *folder.pooling.beyond])
            raise UserError(
                f"{name} makes its vectors with {parts}, which bertkit does not compute; say --pooling cls, "
                "mean or max to have others."
            )
        usual = Embedding(
            poolings=folder.pooling.modes,  # type: ignore[arg-type]
            normalise=folder.pooling.normalise,
            dimensions=folder.pooling.dimensions,
            normalise_kept=bool(normalise and folder.pooling.dimensions),
        )
    found = replace(usual, **{key: value for key, value in asked.items() if value is not None})
    layer_numbers(found.layers, folder.encoder_config.layers)
    if "pooler" in found.poolings:
        if folder.encoder.pooler is None or "pooler" in folder.new:
            raise UserError(f"{name} has no trained pooler; take the pooling cls, mean or max.")
        if found.layers != (-1,):
            raise UserError("The pooler reads the last layer, -1; pool other layers with cls, mean or max.")
    return found


def _normalised(vectors_NW: Vectors) -> Vectors:
    lengths_N1 = np.linalg.norm(vectors_NW, axis=1, keepdims=True)
    normalised: Vectors = vectors_NW / np.maximum(lengths_N1, 1e-12).astype(np.float32)
    return normalised


def _word_vectors(text: str, encoding: Encoding, states_SW: Vectors) -> WordVectors:
    """Means over the tokens of each word that is there whole."""
    starts = np.flatnonzero(encoding.word_starts)
    ends = np.append(starts[1:], len(encoding.ids))[: len(starts)]
    whole = ends <= len(states_SW)
    starts, ends = starts[whole], ends[whole]
    if not len(starts):
        return WordVectors([], [], np.empty((0, states_SW.shape[1]), dtype=np.float32))
    sums = np.add.reduceat(states_SW[: ends[-1]], starts, axis=0)
    spans = [
        (encoding.offsets[start][0], encoding.offsets[end - 1][1])
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    means: Vectors = (sums / (ends - starts)[:, None]).astype(np.float32)
    return WordVectors([text[start:end] for start, end in spans], spans, means)


Writer = Callable[[Sequence[Row | BadRow], Vectors | list[WordVectors]], None]
"""Appends a block: rows, and the vectors of the good ones among them."""


def check_ending(out: Path, *, by_word: bool) -> None:
    """Raise `UserError` unless the file's name tells a format that holds such vectors and is installed."""
    if out.suffix not in ENDINGS:
        raise UserError(f"{out}: name the file .npy or .parquet; the ending tells the format.")
    if by_word and out.suffix == ".npy":
        raise UserError(f"{out}: the vectors of words are lists, which .npy cannot hold; name it .parquet.")
    if out.suffix == ".parquet":
        need_pyarrow(out, "writing")


@contextmanager
def open_writer(out: Path, width: int, *, by_word: bool) -> Iterator[Writer]:
    """A writer of `out`, which is there, whole, when the block ends, and not at all where it raises.

    `.npy` holds float32 [rows, width], NaN for a row that cannot be read. Parquet has for each row `line`,
    `text`, `pair`, `error` and `vector`; or, by word, `words`, `starts`, `ends` (characters) and `vectors`.
    """
    check_ending(out, by_word=by_word)
    with replace_file(out) as temporary:
        opened = _npy(temporary, width) if out.suffix == ".npy" else _parquet(temporary, width, by_word)
        with opened as write:
            yield write


@contextmanager
def _npy(path: Path, width: int) -> Iterator[Writer]:
    """The header is written again at the end; NumPy pads it so that any number of rows fits."""
    count = 0
    with path.open("wb") as file:

        def head() -> int:
            header = {"descr": "<f4", "fortran_order": False, "shape": (count, width)}
            np.lib.format.write_array_header_1_0(file, header)
            return file.tell()

        def write(rows: Sequence[Row | BadRow], vectors: Vectors | list[WordVectors]) -> None:
            nonlocal count
            block = np.full((len(rows), width), np.nan, dtype="<f4")
            block[[isinstance(row, Row) for row in rows]] = vectors
            file.write(block.tobytes())
            count += len(rows)

        size = head()
        yield write
        file.seek(0)
        assert head() == size, "the header has grown into the vectors"


@contextmanager
def _parquet(path: Path, width: int, by_word: bool) -> Iterator[Writer]:
    """A row group for each block."""
    import pyarrow
    import pyarrow.parquet

    vector, numbers = pyarrow.list_(pyarrow.float32(), width), pyarrow.list_(pyarrow.int32())
    fields = {"line": pyarrow.int64(), **dict.fromkeys(("text", "pair", "error"), pyarrow.string())}
    if by_word:
        fields |= {"words": pyarrow.list_(pyarrow.string()), "starts": numbers, "ends": numbers}
        fields["vectors"] = pyarrow.list_(vector)
    else:
        fields["vector"] = vector
    schema = pyarrow.schema(fields)

    def write(rows: Sequence[Row | BadRow], vectors: Vectors | list[WordVectors]) -> None:
        given = iter(vectors)
        found = [next(given) if isinstance(row, Row) else None for row in rows]
        columns: dict[str, list[Any]] = {
            "line": [row.line for row in rows],
            "text": [row.text if isinstance(row, Row) else None for row in rows],
            "pair": [row.pair if isinstance(row, Row) else None for row in rows],
            "error": [row.problem if isinstance(row, BadRow) else None for row in rows],
        }
        if by_word:
            words = [each if isinstance(each, WordVectors) else None for each in found]
            columns["words"] = [each and each.words for each in words]
            columns["starts"] = [each and [start for start, _ in each.spans] for each in words]
            columns["ends"] = [each and [end for _, end in each.spans] for each in words]
            columns["vectors"] = [each and list(each.vectors) for each in words]
        else:
            columns["vector"] = found
        file.write_table(pyarrow.Table.from_pydict(columns, schema=schema))

    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as file:
        yield write
