"""A model folder as one object, which answers what its heads can."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from bertkit.checkpoint.folder import read_model_folder
from bertkit.checkpoint.locate import find_model
from bertkit.config.head import Combination
from bertkit.config.model import Precision
from bertkit.errors import UserError, listed
from bertkit.infer.embed import Embedder, EmbedPooling, embedding_of
from bertkit.infer.masked import Filled, MaskedModel, fill
from bertkit.infer.outputs import FloatArray, outputs
from bertkit.infer.predict import Answer, Predictor
from bertkit.infer.reading import reading_of
from bertkit.infer.rows import Texts
from bertkit.infer.score import score
from bertkit.model.compute import Compute, flush_denormals
from bertkit.tasks.kinds import kind_of_head, title

LABELS_SHOWN = 10


class Model:
    """A trained model: `predict` needs a head for a kind of task, `fill` and `score` one for masked tokens,
    and `embed` none.

    Attributes:
        name: what the user called the model.
        card: what training noted about it; empty for a folder that another program wrote.
        labels: names of the classes in their order, or of the numbers; empty where it has none.
        compute: where and in which number format.
        reading: how texts become sequences, for labels and vectors.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        precision: Precision,
        window: int | None,
        stride: int | None,
        decode: str = "",
    ) -> None:
        self._folder = read_model_folder(path)
        self.name = name
        self.card = self._folder.card
        self.labels = self._folder.head_config.labels if self._folder.head_config else ()
        self.compute = Compute.choose(precision)
        self.reading = reading_of(self._folder, window=window, stride=stride)
        self._decode = decode
        if self._folder.head_config is not None and kind_of_head(self._folder.head_config):
            _ = self.predictor  # What is wrong with it is told now, and not when something is asked of it.

    @cached_property
    def predictor(self) -> Predictor:
        """The model as one that answers what it was trained to.

        Raises:
            UserError: it has no head, or one of a kind that is not used so.
        """
        return Predictor(self._folder, self.name, self.compute, self.reading, self._decode)

    @cached_property
    def masked(self) -> MaskedModel:
        """The model as one that restores masked tokens.

        Raises:
            UserError: it has no head for them.
        """
        return MaskedModel(self._folder, self.name, self.compute)

    def __repr__(self) -> str:
        kind = self.card.get("kind") or (self._folder.head_config.kind if self._folder.head_config else "")
        said = [f"{kind} {listed(self.labels, LABELS_SHOWN)}".rstrip() if kind else "no labels"]
        if "score" in self.card:
            metric = title(self.card.get("metric", "score"), self.card.get("positive") or "")
            said.append(f"{metric} {self.card['score']:.3f}")
        return f"<bertkit model {self.name}: {', '.join(said)}>"

    def predict(self, texts: Texts, pairs: Texts | None = None, **more: Sequence[Any]) -> Any:
        """Answer N texts, or N pairs of texts: see `Predictor.predict`.

        Args:
            texts: a list, an array, a column of a data frame, a generator; or one text.
            pairs: the second texts, as many.
            more: what else the kind of task asks of each, by name: `choices`, the texts that one is to be
                chosen from. Of one text its own.

        Returns:
            An answer for each, in the order given; of one text the answer itself.
        """
        one = isinstance(texts, str)
        given = {name: [values] if one else values for name, values in more.items()}
        found: list[Answer] = self.predictor.predict(texts, pairs, given)
        return found[0] if one else found

    def outputs(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[FloatArray]:
        """What a head of any kind computes: see `infer.outputs.outputs`.

        Returns:
            For each text, or pair of texts, in the order given: [C], or [S, C] of a head on tokens.
        """
        return outputs(self._folder, self.name, texts, pairs, self.compute)

    def embedder(
        self,
        *,
        layers: Sequence[int] | None = None,
        combine: Combination | None = None,
        pooling: EmbedPooling | None = None,
        normalise: bool | None = None,
    ) -> Embedder:
        """The model as one that makes vectors; see `embed`."""
        embedding = embedding_of(self._folder, self.name, layers, combine, pooling, normalise)
        return Embedder(self._folder, self.name, self.compute, self.reading, embedding)

    def embed(
        self,
        texts: Texts,
        pairs: Texts | None = None,
        *,
        layers: Sequence[int] | None = None,
        combine: Combination | None = None,
        pooling: EmbedPooling | None = None,
        normalise: bool | None = None,
    ) -> Any:
        """Vectors of N texts, or of N pairs of texts, in the order given.

        Without `pooling`, a folder of sentence-transformers gives its own vectors, and any other the mean of
        the last layer's tokens.

        Args:
            texts: see `predict`.
            pairs: the second texts, as many.
            layers: 1 is the lowest layer, 0 the embeddings; -1 the last, -2 the one below it.
            combine: "sum" of the layers, or their "concat"enation.
            pooling: "cls", "mean", "max", "pooler", or "words": a vector for each word.
            normalise: divide each vector by its length.

        Returns:
            float32 [N, W], W being the hidden size or a multiple of it; with the pooling "words" a
            `WordVectors` for each text. Of one text the vector [W], or its `WordVectors`.

        Raises:
            UserError: there is no such layer or pooling, or an argument holds something else than strings.
        """
        embedder = self.embedder(layers=layers, combine=combine, pooling=pooling, normalise=normalise)
        found = embedder.embed(texts, pairs)
        return found[0] if isinstance(texts, str) else found

    def fill(self, texts: str | Sequence[str], *, top: int = 5) -> Any:
        """The likeliest tokens for each `[MASK]`: see `infer.masked.fill`.

        Returns:
            An object for each text, in the order given; of one text that is no list the object itself.
        """
        found: list[Filled] = fill(self.masked, [texts] if isinstance(texts, str) else texts, top=top)
        return found[0] if isinstance(texts, str) else found

    def score(self, texts: Sequence[str], *, whole_words: bool = False) -> list[dict[str, Any]]:
        """How likely the model finds sentences: see `infer.score.score`.

        Returns:
            For each, in the order given: `{"text", "score", "tokens"}`; the score is the sum over its
            tokens, in nats.
        """
        if isinstance(texts, str):
            raise UserError("`texts` must be a list of strings, not str; put one text in a list.")
        found = score(self.masked, texts, whole_words=whole_words)
        rows = zip(texts, found.scores.tolist(), found.tokens.tolist(), strict=True)
        return [{"text": text, "score": nats, "tokens": tokens} for text, nats, tokens in rows]


def load(
    model: str | Path,
    *,
    precision: Precision = "auto",
    window: int | None = None,
    stride: int | None = None,
    decode: str = "",
) -> Model:
    """A trained model, ready to answer what its heads can.

    Args:
        model: what MODEL may be on the command line: a run, a model folder or `pkg:PACKAGE/FOLDER`.
        precision: "fp32", "bf16", or "auto" for the faster that this processor has.
        window: read texts longer than so many tokens in windows of so many; 0: cut them; None: as trained.
        stride: tokens from one window to the next; 0: three quarters of one; None: as trained.
        decode: how tags of words are made of their probabilities: "viterbi" for the likeliest ones that
            follow the scheme, "greedy" for each the likeliest; "": as usual, which is the first.

    Raises:
        UserError: there is no such model, or it is damaged, or without heads, or a preset, which nothing has
            trained.
    """
    flush_denormals()
    path = find_model(str(model))
    if path is None:
        raise UserError(
            f"{model} is a preset, a model without training; train it first with `bertkit pretrain SHARDS "
            f"--model {model} -o RUN` or with `bertkit finetune TASK --model {model} -o RUN`."
        )
    return Model(path, str(model), precision, window, stride, decode)
