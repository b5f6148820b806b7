"""The named tasks: a new one with files is one row here, and one of `data/sources.toml`."""

from __future__ import annotations

from bertkit.data.tables import Columns
from bertkit.tasks.glue import GLUE
from bertkit.tasks.task import Task

_OTHERS: tuple[Task, ...] = (
    Task(
        name="imdb",
        data_set="imdb",
        files={"train": "train", "dev": "train", "test": "test"},
        shares={"dev": 0.1},
        columns=Columns(text="text", label="label"),
        labels={"neg": "negative", "pos": "positive"},
        positive="positive",
    ),
    Task(
        name="ag-news",
        data_set="ag_news",
        files={"train": "train.csv", "dev": "train.csv", "test": "test.csv"},
        shares={"dev": 0.05},
        # The title and the description, as the authors' models read them one behind the other.
        columns=Columns(text=2, pair=3, label=1),
        header=False,
        labels={"1": "World", "2": "Sports", "3": "Business", "4": "Sci/Tech"},
    ),
    Task(
        name="20newsgroups",
        data_set="newsgroups20",
        files={
            "train": "20news-bydate-train",
            "dev": "20news-bydate-train",
            "test": "20news-bydate-test",
        },
        shares={"dev": 0.1},
        columns=Columns(text="text", label="label"),
        encoding="latin-1",
    ),
    Task(
        name="emotion",
        data_set="emotion",
        files={"train": "train.txt", "dev": "val.txt", "test": "test.txt"},
        columns=Columns(text=1, label=2),
        header=False,
        separator=";",
        labels={name: name for name in ("sadness", "joy", "love", "anger", "fear", "surprise")},
    ),
    Task(
        name="sst5",
        data_set="sst5",
        files={"train": "train.tsv", "dev": "dev.tsv"},
        columns=Columns(text="sentence", label="label"),
        labels={"0": "very negative", "1": "negative", "2": "neutral", "3": "positive", "4": "very positive"},
    ),
    Task(
        name="chnsenticorp",
        data_set="zh/chnsenticorp",
        files={"train": "train.tsv", "dev": "dev.tsv"},
        columns=Columns(text=1, label=2),
        header=False,
        labels={label: label for label in ("negative", "positive")},
        positive="positive",
    ),
)

_EMOTIONS = """
    admiration amusement anger annoyance approval caring confusion curiosity desire disappointment
    disapproval disgust embarrassment excitement fear gratitude grief joy love nervousness optimism
    pride realization relief remorse sadness surprise neutral
"""
_LABELS: tuple[Task, ...] = (
    Task(
        name="goemotions",
        data_set="goemotions",
        files={"train": "train.tsv", "dev": "dev.tsv", "test": "test.tsv"},
        columns=Columns(text=1, label=2),
        header=False,
        # A cell has the numbers of the labels, between commas.
        labels={str(number): name for number, name in enumerate(_EMOTIONS.split())},
        kind="multilabel",
    ),
)

_TAGS: tuple[Task, ...] = (
    Task(
        name="conll2003",
        data_set="ner/conll2003",
        files={"train": "train.txt", "dev": "valid.txt", "test": "test.txt"},
        # Part of speech and chunk stand between the word and the entity.
        columns=Columns(text=1, label=4),
        kind="tag",
        metric="entity_f1",
    ),
    Task(
        name="wnut17",
        data_set="ner/wnut17",
        files={"train": "train.conll", "dev": "dev.conll"},
        columns=Columns(text=1, label=2),
        kind="tag",
        metric="entity_f1",
    ),
    Task(
        name="cluener",
        data_set="zh/ner_cluener",
        files={"train": "train.json", "dev": "dev.json"},
        columns=Columns(text="text", label="label"),
        # Entities overlap in four of its rows: a word has one tag.
        skip_bad=True,
        kind="tag",
        metric="entity_f1",
    ),
    Task(
        name="ud-ewt",
        data_set="ud_ewt",
        files={"train": "en_ewt-ud-train.conllu", "dev": "en_ewt-ud-dev.conllu"},
        # UPOS: the universal part of speech.
        columns=Columns(text=2, label=4),
        kind="tag",
        metric="accuracy",
    ),
)

_CHOICES: tuple[Task, ...] = (
    Task(
        name="swag",
        data_set="swag",
        files={"train": "train.csv", "dev": "val.csv"},
        columns=Columns(
            text="sent1",
            pair="sent2",
            label="label",
            label_as="index",
            more={"choices": tuple(f"ending{number}" for number in range(4))},
        ),
        kind="choose",
    ),
    # The first of five splits into train, dev and test.
    Task(
        name="codah",
        data_set="codah",
        files={"train": "train.tsv", "dev": "dev.tsv"},
        columns=Columns(text=2, label=7, label_as="index", more={"choices": (3, 4, 5, 6)}),
        header=False,
        kind="choose",
    ),
    Task(
        name="commonsenseqa",
        data_set="commonsenseqa",
        files={"train": "train.jsonl", "dev": "dev.jsonl"},
        columns=Columns(
            text="question.stem",
            label="answerKey",
            label_as="name",
            more={"choices": ("question.choices",)},
        ),
        kind="choose",
    ),
    Task(
        name="copa",
        data_set="copa",
        files={"train": "train.jsonl", "dev": "val.jsonl"},
        columns=Columns(
            text="premise",
            pair="question",
            label="label",
            label_as="index",
            more={"choices": ("choice1", "choice2")},
        ),
        kind="choose",
    ),
)

_QUESTIONS = Columns(text="question", pair="context", label="answers")

_ANSWERS: tuple[Task, ...] = (
    Task(
        name="squad",
        data_set="squad",
        files={"train": "train-v1.1.json", "dev": "dev-v1.1.json"},
        columns=_QUESTIONS,
        kind="answer",
    ),
    Task(
        name="squad2",
        data_set="squad2",
        files={"train": "train-v2.0.json", "dev": "dev-v2.0.json"},
        columns=_QUESTIONS,
        kind="answer",
    ),
    Task(
        name="cmrc2018",
        data_set="zh/cmrc2018",
        files={"train": "cmrc2018_train.json", "dev": "cmrc2018_dev.json"},
        columns=_QUESTIONS,
        # Chinese has no spaces: its official script compares characters.
        metric="character_f1",
        kind="answer",
    ),
)

TASKS: dict[str, Task] = {
    task.name: task for task in (*GLUE, *_OTHERS, *_LABELS, *_TAGS, *_ANSWERS, *_CHOICES)
}
