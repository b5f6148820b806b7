"""The named tasks: each reads its official layout, and its files of answers are those that judges take."""

import json
from pathlib import Path

import pytest

from bertkit.data.sources import sources
from bertkit.data.tables import read_rows
from bertkit.errors import UserError
from bertkit.tasks.here import look
from bertkit.tasks.kinds import KINDS
from bertkit.tasks.load import load_examples
from bertkit.tasks.named import TASKS
from bertkit.tasks.registry import get_task

MNLI_HEAD = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
    "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\t"
)
STSB_HEAD = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2"
MNLI_DEV = (
    f"{MNLI_HEAD}label1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label\n"
    '0\t1n\t1nn\tletters\t( a )\t( b )\t(S)\t(S)\tHe left .\tHe " stayed\tn\tn\tc\tn\tn\tcontradiction\n'
)

# Of each task: a file in its official layout, and what is read of it, text, second text and label's name.
# Labels, quotes and numbers are set as in the published files, the sentences are ours.
SAMPLES: dict[str, tuple[str, str, list[tuple[str, str | None, object]]]] = {
    "cola": (
        "in_domain_train.tsv",
        'gj04\t1\t\tThe cat sat.\ngj04\t0\t*\tCat " the sat.\n',
        [("The cat sat.", None, "acceptable"), ('Cat " the sat.', None, "unacceptable")],
    ),
    "cola-glue": (
        "train.tsv",
        "gj04\t1\t\tThe cat sat.\ngj04\t0\t*\tCat the sat.\n",
        [("The cat sat.", None, "acceptable"), ("Cat the sat.", None, "unacceptable")],
    ),
    "sst2": (
        "train.tsv",
        "sentence\tlabel\na dull film \t0\na fine film \t1\n",
        [("a dull film ", None, "negative"), ("a fine film ", None, "positive")],
    ),
    "mrpc": (
        "train.tsv",
        "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
        '1\t7\t8\tHe said no .\t" No , " he said .\n0\t9\t10\t" Yes .\tHe left .\n',
        [
            ("He said no .", '" No , " he said .', "equivalent"),
            ('" Yes .', "He left .", "not_equivalent"),
        ],
    ),
    "stsb": (
        "train.tsv",
        f'{STSB_HEAD}\tscore\n0\tmain\tfile\t2012\t1\tnone\tnone\tA plane.\tAn "air plane.\t4.750\n'
        "1\tmain\tfile\t2012\t1\tnone\tnone\tA cat.\tA dog.\t0.5\n",
        [("A plane.", 'An "air plane.', 4.75), ("A cat.", "A dog.", 0.5)],
    ),
    "qqp": (
        "train.tsv",
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
        '133273\t213221\t213222\tHow far?\tHow near?\t0\n1\t2\t3\tbroken\n7\t8\t9\tWhy?\t"Why?\t1\n',
        [("How far?", "How near?", "not_duplicate"), ("Why?", '"Why?', "duplicate")],
    ),
    "mnli": ("dev_matched.tsv", MNLI_DEV, [("He left .", 'He " stayed', "contradiction")]),
    "mnli-mm": ("dev_mismatched.tsv", MNLI_DEV, [("He left .", 'He " stayed', "contradiction")]),
    "qnli": (
        "train.tsv",
        'index\tquestion\tsentence\tlabel\n0\tWho?\tI do.\tentailment\n1\tWhy?\tI "do.\tnot_entailment\n',
        [("Who?", "I do.", "entailment"), ("Why?", 'I "do.', "not_entailment")],
    ),
    "rte": (
        "train.tsv",
        "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\tnot_entailment\n1\tC.\tD.\tentailment\n",
        [("A.", "B.", "not_entailment"), ("C.", "D.", "entailment")],
    ),
    "wnli": (
        "train.tsv",
        "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\t1\n1\tC.\tD.\t0\n",
        [("A.", "B.", "entailment"), ("C.", "D.", "not_entailment")],
    ),
    "ag-news": (
        "test.csv",
        '"3","Stocks fall","Shares fell, ""again"" on\\Monday"\n"4","A probe","Landed"\n',
        [
            ("Stocks fall", 'Shares fell, "again" on\\Monday', "Business"),
            ("A probe", "Landed", "Sci/Tech"),
        ],
    ),
    "emotion": (
        "train.txt",
        'i feel fine;joy\ni feel "bad";sadness\n',
        [("i feel fine", None, "joy"), ('i feel "bad"', None, "sadness")],
    ),
    "sst5": (
        "train.tsv",
        "sentence\tlabel\na fine film .\t4\nno film .\t0\n",
        [("a fine film .", None, "very positive"), ("no film .", None, "very negative")],
    ),
    "chnsenticorp": (
        "train.tsv",
        "房间很好,“安静”\tpositive\n太小\tnegative\n",
        [("房间很好,“安静”", None, "positive"), ("太小", None, "negative")],
    ),
}
SAMPLES |= {
    "conll2003": (
        "train.txt",
        "-DOCSTART- -X- -X- O\n\nUN NNP I-NP B-ORG\nsays VBZ I-VP O\n\nHe PRP I-NP O\n",
        [("UN says", None, ["B-ORG", "O"]), ("He", None, ["O"])],
    ),
    "wnut17": (
        "train.conll",
        "in\tO\nNew\tB-location\nYork\tI-location\n\n",
        [("in New York", None, ["O", "B-location", "I-location"])],
    ),
    "cluener": (
        "train.json",
        '{"text": "张三去北京", "label": {"name": {"张三": [[0, 1]]}, "address": {"北京": [[3, 4]]}}}\n',
        [("张三去北京", None, ["B-name", "I-name", "O", "B-address", "I-address"])],
    ),
    "ud-ewt": (
        "en_ewt-ud-train.conllu",
        "# text = Don't go\n1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_\n"
        "1\tDo\tdo\tAUX\tVBP\t_\t3\taux\t_\t_\n2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_\n"
        "3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_\n3.1\tto\t_\tPART\tTO\t_\t_\t_\t_\t_\n\n",
        [("Do n't go", None, ["AUX", "PART", "VERB"])],
    ),
}


def squad(question: dict[str, object], context: str = "Anna went to Rome.", version: str = "1.1") -> str:
    """A file of SQuAD's layout with one question."""
    paragraph = {"context": context, "qas": [{"id": "5", **question}]}
    return json.dumps({"version": version, "data": [{"title": "T", "paragraphs": [paragraph]}]})


ROME = {"text": "Rome", "answer_start": 13}
SAMPLES |= {
    "squad": (
        "dev-v1.1.json",
        squad({"question": "Where?", "answers": [ROME, ROME, {"text": "to Rome", "answer_start": 10}]}),
        [("Where?", "Anna went to Rome.", [13, 17])],
    ),
    "squad2": (
        "dev-v2.0.json",
        squad({"question": "Why?", "answers": [], "is_impossible": True, "plausible_answers": [ROME]}),
        [("Why?", "Anna went to Rome.", [-1, -1])],
    ),
    "cmrc2018": (
        "cmrc2018_dev.json",
        squad({"question": "谁？", "answers": [{"text": "张三", "answer_start": 0}]}, "张三去北京。", "v1.0"),
        [("谁？", "张三去北京。", [0, 2])],
    ),
}
SAMPLES |= {
    "goemotions": (
        "train.tsv",
        'So glad\t17,0\teebbqej\nMeh "\t27\ted00q6i\n',
        [("So glad", None, ["admiration", "joy"]), ('Meh "', None, ["neutral"])],
    )
}
SWAG = (
    ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3,label\n"
    '0,v,1,He sat. She,He sat.,She,gold,ran.,"sat, too.",left.,slept.,1\n'
)
COMMONSENSE = {
    "answerKey": "B",
    "id": "7",
    "question": {
        "question_concept": "sit",
        "choices": [{"label": "A", "text": "tree"}, {"label": "B", "text": "chair"}],
        "stem": "Where do people sit?",
    },
}
SAMPLES |= {
    "swag": ("val.csv", SWAG, [("He sat.", "She", 1)]),
    "codah": ("train.tsv", 'n\tShe sat. It\ta\tb "c\td\te\t3\n', [("She sat. It", None, 3)]),
    "commonsenseqa": ("dev.jsonl", json.dumps(COMMONSENSE), [("Where do people sit?", None, 1)]),
    "copa": (
        "val.jsonl",
        '{"premise": "The cat ran.", "choice1": "It saw a dog.", "choice2": "It slept.", '
        '"question": "cause", "label": 0, "idx": 0}\n',
        [("The cat ran.", "cause", 0)],
    ),
}
# Those that are published as a file for each text, and those that have no labels.
ELSEWHERE = {"imdb", "20newsgroups", "ax"}


@pytest.mark.parametrize("name", TASKS)
def test_every_row_is_whole(name: str) -> None:
    task = TASKS[name]
    assert task.name == name
    assert task.metric in [metric.name for metric in KINDS[task.kind].metrics]
    source = sources()[task.data_set]
    assert source.licence
    assert source.cite
    assert source.manual or f"fetch {name}`" in source.how_to_get(name)
    assert all(part.url in source.how_to_get(name) for part in source.downloads)
    assert task.trained_on in {"", *TASKS}
    assert name in {*SAMPLES, *ELSEWHERE}


def read(name: str, file: str, folder: Path) -> list[tuple[str, str | None, object]]:
    """Text, second text and label's name of the rows of a task's file."""
    task = get_task(name, folder)
    split = next(split for split, each in task.files.items() if each == file)
    examples, names = load_examples(task, split, tuple(task.labels.values()) or None)
    labels = KINDS[task.kind].told(examples.known, names)
    return list(zip(examples.texts, examples.pairs or [None] * len(examples), labels, strict=True))


@pytest.mark.parametrize("name", SAMPLES)
def test_the_official_layout_is_read(name: str, tmp_path: Path) -> None:
    file, content, expected = SAMPLES[name]
    (tmp_path / file).write_text(content, encoding="utf-8")
    assert read(name, file, tmp_path) == expected


@pytest.mark.parametrize("ends", ["\r\n", "\n"])
def test_windows_line_ends_and_a_mark_change_nothing(ends: str, tmp_path: Path) -> None:
    file, content, expected = SAMPLES["rte"]
    (tmp_path / file).write_bytes(("\ufeff" + content.replace("\n", ends)).encode())
    assert read("rte", file, tmp_path) == expected


@pytest.mark.parametrize(
    ("name", "labels", "word"),
    [("imdb", ("neg", "pos"), "good"), ("20newsgroups", ("a.b", "c.d"), "naïve")],
)
def test_a_folder_for_each_label_is_read(
    name: str, labels: tuple[str, ...], word: str, tmp_path: Path
) -> None:
    task = get_task(name, tmp_path)
    for number, label in enumerate(labels):
        (tmp_path / task.files["test"] / label).mkdir(parents=True)
        for each in (2, 10):
            path = tmp_path / task.files["test"] / label / f"{each}_{number}.txt"
            path.write_bytes(f"{word} {each}\nline".encode(task.encoding or "utf-8"))
    examples, names = load_examples(task, "test")
    assert names == (tuple(task.labels.values()) or labels)
    assert examples.texts == [f"{word} {each}\nline" for _ in labels for each in (2, 10)]
    assert examples.known.values.tolist() == [0, 0, 1, 1]


UNLABELLED = {
    "cola-glue": "index\tsentence\n0\tA cat.\n",
    "sst2": "index\tsentence\n0\tA cat.\n",
    "mrpc": "\ufeffindex\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t5\t6\tA cat.\tA dog.\n",
    "stsb": f"{STSB_HEAD}\n0\tmain\tfile\t2012\t1\tnone\tnone\tA cat.\tA dog.\n",
    "qqp": "id\tquestion1\tquestion2\n0\tA cat.\tA dog.\n",
    "mnli": MNLI_HEAD.replace("genre\t", "").rstrip("\t") + "\n0\t1\t1n\t()\t()\t()\t()\tA cat.\tA dog.\n",
    "mnli-mm": MNLI_HEAD.rstrip("\t") + "\n0\t1\t1n\tletters\t()\t()\t()\t()\tA cat.\tA dog.\n",
    "qnli": "index\tquestion\tsentence\n0\tA cat.\tA dog.\n",
    "rte": "index\tsentence1\tsentence2\n0\tA cat.\tA dog.\n",
    "wnli": "index\tsentence1\tsentence2\n0\tA cat.\tA dog.\n",
    "ax": "index\tsentence1\tsentence2\n0\tA cat.\tA dog.\n",
}


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.submission])
def test_rows_to_be_answered_are_read_in_their_official_layout(name: str, tmp_path: Path) -> None:
    wanted = TASKS[name].submission
    assert wanted is not None
    (tmp_path / wanted.file).write_text(UNLABELLED[name], encoding="utf-8")
    (row,) = read_rows(tmp_path / wanted.file, wanted.columns)
    assert row.text == "A cat."
    assert row.pair == (None if wanted.columns.pair is None else "A dog.")


def test_a_task_is_found_in_the_folder_of_its_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BERTKIT_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "glue" / "SST-2"
    told = r"'glue/SST-2' was not found.*fetch sst2`.*SST-2\.zip.*--from FOLDER; or"
    with pytest.raises(UserError, match=told):
        get_task("sst2").file("dev")
    folder.mkdir(parents=True)
    (folder / "train.tsv").write_text("x")
    assert get_task("sst2").file("train") == folder / "train.tsv"
    assert not get_task("sst2").has("dev")
    (folder / "dev.tsv.gz").write_text("x")
    assert get_task("sst2").file("dev") == folder / "dev.tsv.gz"


def test_what_is_here_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTKIT_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert look("rte")["state"] == "absent"
    folder = tmp_path / "glue" / "RTE"
    folder.mkdir(parents=True)
    content = SAMPLES["rte"][1]
    (folder / "train.tsv").write_text(content)
    found = look("rte")
    assert (found["state"], found["missing"], found["rows"]) == ("part", ["dev.tsv"], {"train": 2})
    other = "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\tmaybe\n"
    (folder / "dev.tsv").write_text(other)
    found = look("rte")
    assert (found["state"], found["folder"], found["bytes"]) == (
        "here",
        str(folder),
        len(content) + len(other),
    )
    assert "'maybe'" in found["problem"]
    assert found["licence"] == sources()["glue/RTE"].licence


def test_a_task_without_training_rows_says_whose_models_answer_it() -> None:
    with pytest.raises(UserError, match=r"'mnli-mm' has no train file.*answered by a model of 'mnli'"):
        get_task("mnli-mm").file("train")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("swag", ["ran.", "sat, too.", "left.", "slept."]),
        ("codah", ["a", 'b "c', "d", "e"]),
        ("commonsenseqa", ["tree", "chair"]),
        ("copa", ["It saw a dog.", "It slept."]),
    ],
)
def test_the_choices_of_a_row_are_read(name: str, expected: list[str], tmp_path: Path) -> None:
    file, content, _ = SAMPLES[name]
    (tmp_path / file).write_text(content, encoding="utf-8")
    task = get_task(name, tmp_path)
    split = next(split for split, each in task.files.items() if each == file)
    assert load_examples(task, split)[0].more["choices"] == [expected]
