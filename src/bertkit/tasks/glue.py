"""GLUE (Wang et al. 2019): its files, names of labels, orders of classes and files of answers, as rows."""

from __future__ import annotations

from dataclasses import replace

from bertkit.data.tables import Columns
from bertkit.tasks.task import Submission, Task

_PAIR = Columns(text="sentence1", pair="sentence2", label="label")
_UNLABELLED = Columns(text="sentence1", pair="sentence2")
_ENTAILMENT = {"entailment": "entailment", "not_entailment": "not_entailment"}

_MNLI = Task(
    name="mnli",
    data_set="glue/MNLI",
    files={"train": "train.tsv", "dev": "dev_matched.tsv"},
    columns=Columns(text="sentence1", pair="sentence2", label="gold_label"),
    labels={label: label for label in ("entailment", "neutral", "contradiction")},
    submission=Submission(file="test_matched.tsv", columns=_UNLABELLED, name="MNLI-m.tsv"),
)

GLUE: tuple[Task, ...] = (
    # The files of its authors, whose dev rows are half of GLUE's: the other half is of other publications.
    Task(
        name="cola",
        data_set="cola",
        files={"train": "in_domain_train.tsv", "dev": "in_domain_dev.tsv"},
        columns=Columns(text=4, label=2),
        header=False,
        labels={"0": "unacceptable", "1": "acceptable"},
        positive="acceptable",
        metric="mcc",
    ),
    Task(
        name="cola-glue",
        data_set="glue/CoLA",
        files={"train": "train.tsv", "dev": "dev.tsv"},
        columns=Columns(text=4, label=2),
        header=False,
        labels={"0": "unacceptable", "1": "acceptable"},
        positive="acceptable",
        metric="mcc",
        submission=Submission(file="test.tsv", columns=Columns(text="sentence"), name="CoLA.tsv"),
    ),
    Task(
        name="sst2",
        data_set="glue/SST-2",
        files={"train": "train.tsv", "dev": "dev.tsv"},
        columns=Columns(text="sentence", label="label"),
        labels={"0": "negative", "1": "positive"},
        positive="positive",
        submission=Submission(file="test.tsv", columns=Columns(text="sentence"), name="SST-2.tsv"),
    ),
    Task(
        name="mrpc",
        data_set="glue/MRPC",
        files={"train": "train.tsv", "dev": "dev.tsv"},
        columns=Columns(text="#1 String", pair="#2 String", label="Quality"),
        labels={"0": "not_equivalent", "1": "equivalent"},
        positive="equivalent",
        # GLUE gives F1 too. Who answers "equivalent" always has an F1 of 0.81, so that choosing a model
        # by F1 would reward just that; both are shown anyway.
        metric="accuracy",
        submission=Submission(
            file="test.tsv", columns=Columns(text="#1 String", pair="#2 String"), name="MRPC.tsv"
        ),
    ),
    Task(
        name="stsb",
        data_set="glue/STS-B",
        files={"train": "train.tsv", "dev": "dev.tsv"},
        columns=Columns(text="sentence1", pair="sentence2", label="score"),
        kind="regress",
        submission=Submission(file="test.tsv", columns=_UNLABELLED, name="STS-B.tsv", high=5.0),
    ),
    Task(
        name="qqp",
        data_set="glue/QQP",
        files={"train": "train.tsv", "dev": "dev.tsv"},
        columns=Columns(text="question1", pair="question2", label="is_duplicate"),
        labels={"0": "not_duplicate", "1": "duplicate"},
        positive="duplicate",
        # Some published files have rows that break off.
        skip_bad=True,
        submission=Submission(
            file="test.tsv", columns=Columns(text="question1", pair="question2"), name="QQP.tsv"
        ),
    ),
    _MNLI,
    replace(
        _MNLI,
        name="mnli-mm",
        files={"dev": "dev_mismatched.tsv"},
        trained_on="mnli",
        submission=Submission(file="test_mismatched.tsv", columns=_UNLABELLED, name="MNLI-mm.tsv"),
    ),
    Task(
        name="qnli",
        data_set="glue/QNLI",
        files={"train": "train.tsv", "dev": "dev.tsv"},
        columns=Columns(text="question", pair="sentence", label="label"),
        labels=_ENTAILMENT,
        positive="entailment",
        submission=Submission(
            file="test.tsv", columns=Columns(text="question", pair="sentence"), name="QNLI.tsv"
        ),
    ),
    Task(
        name="rte",
        data_set="glue/RTE",
        files={"train": "train.tsv", "dev": "dev.tsv"},
        columns=_PAIR,
        labels=_ENTAILMENT,
        positive="entailment",
        submission=Submission(file="test.tsv", columns=_UNLABELLED, name="RTE.tsv"),
    ),
    Task(
        name="wnli",
        data_set="glue/WNLI",
        files={"train": "train.tsv", "dev": "dev.tsv"},
        columns=_PAIR,
        labels={"0": "not_entailment", "1": "entailment"},
        positive="entailment",
        submission=Submission(file="test.tsv", columns=_UNLABELLED, name="WNLI.tsv"),
    ),
    # The diagnostic set: it has no labels to train or to be scored on.
    replace(
        _MNLI,
        name="ax",
        data_set="glue_diagnostic",
        files={},
        trained_on="mnli",
        submission=Submission(file="diagnostic.tsv", columns=_UNLABELLED, name="AX.tsv"),
    ),
)
