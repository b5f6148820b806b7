"""Tables out of what is published in other layouts."""

from pathlib import Path

import pytest

from bertkit.data.make import MAKERS, mrpc, treebank
from bertkit.data.sources import sources
from bertkit.errors import UserError


def test_mrpc_is_parted_by_the_ids_of_dev(tmp_path: Path) -> None:
    head = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n"
    train = '1\t10\t11\tOne " .\tTwo .\r\n0\t20\t21\tThree .\tFour .\r\n1\t11\t10\tFive .\tSix .\r\n'
    (tmp_path / "msr_paraphrase_train.txt").write_bytes((head + train).encode())
    (tmp_path / "msr_paraphrase_test.txt").write_text(f"{head}0\t30\t31\tA .\tB .\n1\t32\t33\tC .\tD .\n")
    (tmp_path / "mrpc_dev_ids.tsv").write_text("20\t21\n10\t99\n")
    tables = {name: list(lines) for name, lines in mrpc(tmp_path).items()}
    columns = "#1 ID\t#2 ID\t#1 String\t#2 String"
    assert tables == {
        "train.tsv": [f"Quality\t{columns}", '1\t10\t11\tOne " .\tTwo .', "1\t11\t10\tFive .\tSix ."],
        "dev.tsv": [f"Quality\t{columns}", "0\t20\t21\tThree .\tFour ."],
        "test.tsv": [f"index\t{columns}", "0\t30\t31\tA .\tB .", "1\t32\t33\tC .\tD ."],
    }


def test_a_broken_row_of_mrpc_is_named(tmp_path: Path) -> None:
    (tmp_path / "mrpc_dev_ids.tsv").write_text("1\t2\n")
    (tmp_path / "msr_paraphrase_train.txt").write_text("head\t\t\t\t\n1\t2\t3\ta\n")
    with pytest.raises(UserError, match=r"msr_paraphrase_train\.txt, line 2: 5 columns are needed, not 4"):
        list(mrpc(tmp_path)["train.tsv"])


def test_the_class_of_a_tree_is_that_of_its_root(tmp_path: Path) -> None:
    trees = "(3 (2 A) (4 (3 good) (2 (2 3) (2 film))))\n(0 (1 no) (2 .))\n"
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.trees").write_text(trees)
    tables = treebank(tmp_path)
    assert list(tables) == ["train.tsv", "dev.tsv", "test.tsv"]
    assert list(tables["dev.tsv"]) == ["sentence\tlabel", "A good 3 film\t3", "no .\t0"]


def test_what_is_no_tree_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.trees").write_text("3 A good film\n")
    with pytest.raises(UserError, match=r"train\.trees, line 1: no tree"):
        list(treebank(tmp_path)["train.tsv"])


def test_every_maker_that_a_source_names_is_there() -> None:
    assert {source.maker for source in sources().values()} - {""} == set(MAKERS)
