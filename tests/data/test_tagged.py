"""Sentences with a tag a word: every layout, and every line that cannot be read."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from bertkit.data.conll import TaggedSentence, cut_long
from bertkit.data.tables import BadRow
from bertkit.data.tagged import read_tagged, span_tags, tagged_columns
from bertkit.errors import UserError
from bertkit.text.words import word_spans


def rows(path: Path, content: str | bytes, **how: object) -> list[TaggedSentence | BadRow]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_tagged(path, **how))


def told(found: list[TaggedSentence | BadRow]) -> list[tuple[int, str, str]]:
    """Line, words and tags of good sentences."""
    assert not [row for row in found if isinstance(row, BadRow)]
    return [(row.line, " ".join(row.words), " ".join(row.tags or ())) for row in found]


LAYOUTS = {
    "tabs": "Ann\tB-PER\nsat\tO\n\nin\tO\nNew York\tB-LOC\n",
    "spaces": "Ann B-PER\nsat  O \n\nin O\nNew_York B-LOC\n",
    "four": "-DOCSTART- -X- -X- O\n\nAnn NNP NP B-PER\nsat VBD VP O\n\nin IN PP O\nNew_York NNP NP B-LOC\n",
    "blank lines": "\n\nAnn B-PER\nsat O\n \n\n\t\nin O\nNew_York B-LOC\n\n\n",
    "numbered": "# id = 5\n1\tAnn\tB-PER\t-\n2\tsat\tO\t-\n\n# id = 6\n1\tin\tO\t-\n2\tNew York\tB-LOC\tx\n",
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_layout_of_conll_is_read(tmp_path: Path, layout: str, ends: str, mark: bytes) -> None:
    content = mark + LAYOUTS[layout].replace("\n", ends).encode()
    found = told(rows(tmp_path / "a.conll", content))
    assert [each[1:] for each in found] == [("Ann sat", "B-PER O"), (found[1][1], "O B-LOC")]
    assert found[1][1] in ("in New York", "in New_York")
    lines = LAYOUTS[layout].split("\n")
    assert all("Ann" in lines[found[0][0] - 1] and "in" in lines[line - 1] for line, *_ in found[1:])


CONLLU = """# newdoc id = one
# sent_id = 1
# text = I don't know
1\tI\tI\tPRON\tPRP\t_\t4\tnsubj\t_\t_
2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
2\tdo\tdo\tAUX\tVBP\t_\t4\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t4\tadvmod\t_\t_
4\tknow\tknow\tVERB\tVB\t_\t0\troot\t_\t_
4.1\tit\tit\tPRON\tPRP\t_\t_\t_\t4:obj\t_

# newdoc id = two
1\t#\t#\tSYM\tNN\t_\t0\troot\t_\t_
2\tx\tx\tNOUN\tNN\t_\t1\tdep\t_\t_
"""


def test_words_of_several_words_and_words_that_are_not_there_are_passed_over(tmp_path: Path) -> None:
    found = rows(tmp_path / "a.conllu", CONLLU)
    assert told(found) == [(4, "I do n't know", "PRON AUX PART VERB"), (12, "# x", "SYM NOUN")]
    assert [row.document for row in found] == [1, 2]
    assert found[0].lines == (4, 6, 7, 8)
    assert told(rows(tmp_path / "a.conllu", CONLLU, tag=5))[1] == (12, "# x", "NN NN")


def test_a_word_may_begin_with_the_sign_of_comments(tmp_path: Path) -> None:
    assert told(rows(tmp_path / "a.txt", "# id 5\n# O\n#b B-A\n# text = a b\nc O\n")) == [
        (2, "# #b c", "O B-A O")
    ]
    assert told(rows(tmp_path / "b.txt", "# a b\n#\tO\nb\tB-A\n")) == [(2, "# b", "O B-A")]


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ("a O\nO\nb O\n\nc O\n", 2, "1 column where most lines have 2"),
        ("a O\n O\nb O\n\nc O\n", 2, "there is no word before the tag"),
        ("a\tO\n\tO\nb\tO\n\nc\tO\n", 2, "there is no word before the tag"),
        ("a\tO\nb\t\n\nc\tO\n", 2, "the word has no tag"),
        ("a\tO\nb\tB-a b\n\nc\tO\n", 2, "the tag 'B-a b' holds a space"),
        ("a O\nb B-a b\n\nc O\n", 2, "3 columns where most lines have 2"),
        ("a O\nb\0 O\n\nc O\n", 2, "the word holds a NUL byte"),
        ("x O\nb\udcff O\n\nc O\n", 2, "the byte 0xff is not UTF-8 text"),
        ("1\ta\tO\n2\tb\t_\n\n1\tc\tO\n", 2, "the word has no tag"),
    ],
)
def test_a_line_that_cannot_be_read_makes_its_sentence_a_bad_row(
    tmp_path: Path, content: str, line: int, said: str
) -> None:
    bad, good = rows(tmp_path / "a.conll", content.encode(errors="surrogateescape"))
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.problem.startswith(f"{tmp_path / 'a.conll'}, line {line}: {said}")) == (line, True)
    assert isinstance(good, TaggedSentence)
    assert good.words == ("c",)


@pytest.mark.parametrize(
    ("content", "how", "said"),
    [
        ("", {}, "is empty; at least one line with a word"),
        ("\n\n", {}, "is empty; at least one line with a word"),
        ("a\nb\n", {}, "no column of tags beside it"),
        ("a O\n", {"tag": 3}, "has no column 3 of tags: its columns are 1 to 2"),
        ("a O\n", {"word": "form"}, "have no names, so there is no column 'form'"),
    ],
)
def test_a_file_without_its_columns_is_refused(tmp_path: Path, content: str, how: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        rows(tmp_path / "a.conll", content, **how)


def test_words_are_read_without_their_tags(tmp_path: Path) -> None:
    for content in ("a\nb\n\nc\n", "a O\nb\n\nc O\n", "a O\nb O\n\nc O\n"):
        found = rows(tmp_path / "a.conll", content, tags=False)
        if content != "a O\nb\n\nc O\n":
            assert [(row.words, row.tags) for row in found] == [(("a", "b"), None), (("c",), None)]
        else:
            assert isinstance(found[0], BadRow)


def test_a_sentence_without_end_is_cut_at_full_stops_and_not_inside_an_entity() -> None:
    words = ("a", "b", ".", "c", "d", "e", ".", "f", "g", "h")
    tags = ("O", "O", "O", "O", "O", "B-A", "I-A", "I-A", "O", "O")
    whole = TaggedSentence(1, words, tags, lines=tuple(range(1, 11)), document=3)
    assert cut_long(whole, 10) == [whole]
    parts = cut_long(whole, 4)
    assert [" ".join(part.words) for part in parts] == ["a b .", "c d e . f", "g h"]
    assert [(part.line, part.goes_on, part.document) for part in parts] == [
        (1, False, 3),
        (4, True, 3),
        (9, True, 3),
    ]
    assert sum((part.tags or () for part in parts), ()) == tags


def line(**cells: object) -> str:
    return json.dumps(cells) + "\n"


def test_json_lines_hold_words_and_tags_or_a_text_and_spans(tmp_path: Path) -> None:
    content = line(tokens=["New York", "is"], tags=["B-LOC", "O"]) + line(tokens=["a"], tags=[3])
    assert told(rows(tmp_path / "a.jsonl", content)) == [(1, "New York is", "B-LOC O"), (2, "a", "3")]
    text = "Dr. Ångström-Lee, 北京市"
    spans = [{"start": 4, "end": 16, "label": "PER"}, {"start": 18, "end": 20, "label": "LOC"}]
    (found,) = rows(tmp_path / "b.jsonl", line(text=text, spans=spans))
    assert told([found]) == [(1, "Dr . Ångström - Lee , 北 京 市", "O O B-PER I-PER I-PER O B-LOC I-LOC O")]
    assert [text[start:end] for start, end in found.spans] == list(found.words)
    (asked,) = rows(tmp_path / "c.jsonl", line(w=["a"], t=["O"]), word="w", tag="t")
    assert (asked.words, asked.tags) == (("a",), ("O",))
    cluener = (
        '{\n "text": "在北京",\n "label": {"address": {"北京": [[1, 2]]}}\n}\n{"text": "a", "label": {}}\n'
    )
    assert told(rows(tmp_path / "d.json", cluener)) == [
        (1, "在 北 京", "O B-address I-address"),
        (2, "a", "O"),
    ]


def span(start: object, end: int, label: str = "X") -> dict:
    return {"start": start, "end": end, "label": label}


@pytest.mark.parametrize(
    ("words", "tags", "said"),
    [
        ([], [], "there are no words"),
        (["a", "b"], ["O"], "2 words and 1 tags; each word needs one tag"),
        (["a", " "], ["O", "O"], "word 2 is empty"),
        (["a", 5], ["O", "O"], "word 2 is not a string but of type int"),
        (["a"], ["B-x y"], "tag 1: the tag 'B-x y' holds a space"),
        (["a"], [""], "tag 1: the word has no tag"),
        (["a"], "O", "the tags are not a list but of type str"),
        (5, ["O"], "the words are not a list but of type int"),
        (" ", [], "the text is empty"),
        ("ab c", "x", "the spans are not a list"),
        ("ab c", [{"start": 0, "end": 2}], "span 1 is not of the form"),
        ("ab c", [span(True, 2)], "span 1 is not of the form"),
        ("ab c", [[0, 2, "X"]], "span 1 is not of the form"),
        ("ab c", [span(3, 5)], "the span 3 to 5 is not in the text"),
        ("ab c", [span(2, 2)], "the span 2 to 2 is not in the text"),
        ("ab c", [span(2, 3)], r"the span 2 to 3 \(' '\) holds no word"),
        ("ab c", [span(0, 1, "X Y")], "the span 0 to 1 .*: the tag 'X Y' holds a space"),
        ("ab c", [span(0, 1), span(1, 4)], r"the span 1 to 4 \('b c'\) has a word that another span has too"),
        ("ab c", {"X": {"ab": [0, 1]}}, "the label 'X' is not of the form"),
    ],
)
def test_a_row_that_cannot_be_read_is_a_bad_one(
    tmp_path: Path, words: object, tags: object, said: str
) -> None:
    content = line(tokens=words, tags=tags) + line(tokens=["c"], tags=["O"])
    bad, good = rows(tmp_path / "a.jsonl", content)
    assert isinstance(bad, BadRow)
    assert (bad.line, re.match(said, bad.reason) is not None) == (1, True)
    assert isinstance(good, TaggedSentence)


def test_what_has_tags_is_told_from_the_file(tmp_path: Path) -> None:
    cases = {
        "a.conll": ("a O\nb B-X\n", ("1", "2")),
        "b.txt": ("a X O\nb Y B-X\n\nc X O\n", ("1", "3")),
        "c.dev": ("1\ta\tO\t-\n2\tb\tO\t-\n\n1\tc\tO\t-\n", ("2", "3")),
        "d.jsonl": (line(id=1, words=["a"], ner_tags=[0]), ("words", "ner_tags")),
        "e.jsonl": (line(text="a b", entities=[span(0, 1)]), ("text", "entities")),
        "f.jsonl": (line(text="a b", label="X"), None),
        "g.jsonl": (line(text="a b", labels=["X"]), None),
        "h.txt": ("A text of words.\n\nAnother one, with more words.\nAnd more.\n", None),
        "i.tsv": ("a b\tO\nc d\tX\n", None),
    }
    found = {}
    for name, (content, _) in cases.items():
        (tmp_path / name).write_text(content)
        found[name] = tagged_columns(tmp_path / name)
    assert found == {name: expected for name, (_, expected) in cases.items()}


def test_a_table_without_known_columns_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no column of words .* say --text and its name, .* one of: w, tags"):
        rows(tmp_path / "a.jsonl", line(w=["a"], tags=["O"]))
    with pytest.raises(
        UserError, match=r"no column of tags .* say --label and its name, .* one of: words, t"
    ):
        rows(tmp_path / "a.jsonl", line(words=["a"], t=["O"]))


def test_a_word_that_a_span_covers_in_part_belongs_to_it() -> None:
    text = "unbelievable, isn't"
    assert span_tags(text, word_spans(text), [(2, 5, "X"), (14, 17, "Y")]) == ["B-X", "O", "B-Y", "O", "O"]


def test_context_is_of_the_same_document(tmp_path: Path) -> None:
    content = "a O\n\nb O\nc O\n\nd O\n\n-DOCSTART- O\n\ne O\n\nf\n\ng O\n"
    found = rows(tmp_path / "a.conll", content, context=2)
    assert [(row.before, row.words, row.after) for row in found if isinstance(row, TaggedSentence)] == [
        ((), ("a",), ("b", "c", "d")),
        (("a",), ("b", "c"), ("d",)),
        (("a", "b", "c"), ("d",), ()),
        ((), ("e",), ()),
        ((), ("g",), ()),
    ]


@pytest.mark.parametrize(
    ("name", "sentences", "bad", "counts"),
    [
        ("ner/wnut17/train.conll", 3394, 0, {"": 62730, "B-person": 660}),
        ("ner_btc/btc.dev.conll", 998, 3, {"": 14978}),
        ("ner_wikigold/wikigold.conll.txt.gz", 1696, 0, {"": 39007, "I-MISC": 1392}),
        ("ner_europeana_de/enp_DE.lft.bio.gz", 596, 0, {"": 70259, "B-BER": 1}),
        ("zh/ner_resume/dev.char.bmes", 463, 0, {"": 13890, "B-NAME": 102}),
        ("zh/ner_cluener/train.json.gz", 10744, 4, {}),
        ("ud_ewt/en_ewt-ud-dev.conllu.gz", 2001, 0, {"": 25147, "PROPN": 1867}),
        ("ner_uner_ewt/en_ewt-ud-dev.iob2.gz", 2001, 0, {"": 25149, "B-PER": 343}),
    ],
)
@pytest.mark.slow
def test_real_files_have_the_counts_that_grep_finds(
    shared_data: Path, name: str, sentences: int, bad: int, counts: dict[str, int]
) -> None:
    found = list(read_tagged(shared_data / name))
    good = [row for row in found if isinstance(row, TaggedSentence)]
    assert (len(good), len(found) - len(good)) == (sentences, bad)
    tags = Counter(tag for row in good for tag in row.tags or ())
    tags[""] = sum(tags.values())
    assert {tag: tags[tag] for tag in counts} == counts
