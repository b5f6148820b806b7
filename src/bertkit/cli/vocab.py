"""Learn a WordPiece vocabulary from text, and say how well it fits text that it has not seen."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from bertkit.cli.arguments import CLEANING, add_shared, text_options
from bertkit.errors import UserError, check_at_least
from bertkit.recipe import VocabularyAlgorithm
from bertkit.text.jsons import to_json
from bertkit.version import __version__

if TYPE_CHECKING:
    from rich.progress import Progress

    from bertkit.show.display import PlainConsole
    from bertkit.text.vocabulary import Learned, VocabularyOptions

# A shorter result is not what was asked for, and the user is told.
SHORTFALL = 0.1
WHY_SHORT = {
    "topdown": "the thresholds of topdown jump over the size on little text. Give more text, a lower "
    "--min-frequency, or take --algorithm wordpiece",
    "wordpiece": "the text has no more tokens that occur so often. Give more text or a lower --min-frequency",
}
# Share of a text's characters; what is missing beyond it leaves no words out to speak of.
COVERAGE_ENOUGH = 0.999
# The bar moves after so many characters.
_STEP = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        "texts",
        nargs="+",
        metavar="TEXT",
        help="files (plain text, JSON, TSV, CSV, Excel, Parquet, Arrow; text also as .gz, .zst, .bz2, .xz), "
        "folders of such files, patterns in quotes, or - for standard input",
    )
    add("--size", type=int, required=True, metavar="N", help="tokens to learn")
    add("-o", "--out", type=Path, required=True, help="the vocab.txt to write")
    add(
        "--algorithm",
        choices=get_args(VocabularyAlgorithm),
        default="wordpiece",
        help="wordpiece (joins frequent pairs until the size is reached; the default) or topdown "
        "(that of tensorflow-text and keras_nlp, which often ends far below the size)",
    )
    cleaning = parser.add_argument_group(
        "how text is cleaned, kept in tokenizer_config.json beside the vocabulary; unless said, lower case, "
        "without accents, each Chinese character a word"
    )
    add_shared(cleaning, *CLEANING)
    add("--reserved", nargs="+", metavar="TOKEN", help="the tokens to put first, in this order")
    add("--min-frequency", type=int, metavar="N", help="how often a token must occur")
    add("--alphabet", type=int, metavar="N", help="single characters at most")
    add(
        "--alphabet-coverage",
        type=float,
        metavar="SHARE",
        help="without --alphabet: 1000 single characters, and more until they are this share of the text "
        "(0.9995)",
    )
    add_shared(parser, "--column", "--header", "--format", "--separator", "--encoding")
    add(
        "--held-out",
        type=int,
        default=100,
        metavar="N",
        help="judge on every N-th text (100); 0: do not judge",
    )
    add_shared(parser, "--overwrite", "--json")


def run(arguments: argparse.Namespace) -> int:
    """Do it and print what was learned."""
    for name, least in (("size", 1), ("min_frequency", 1), ("alphabet", 1), ("held_out", 0)):
        if (value := getattr(arguments, name)) is not None:
            check_at_least("vocab", name, value, least)
    if arguments.out.is_dir():
        raise UserError(
            f"{arguments.out} is a folder; name the file to write, such as {arguments.out}/vocab.txt."
        )
    if arguments.alphabet_coverage is not None and not 0 < arguments.alphabet_coverage <= 1:
        raise UserError(f"vocab: alphabet_coverage is from 0 to 1, not {arguments.alphabet_coverage}.")

    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

    from bertkit.checkpoint.atomic import replace_file
    from bertkit.show.display import plain_console, transient_bar
    from bertkit.text.tokenizer import Tokenizer
    from bertkit.text.vocabulary import VocabularyOptions, learn_and_judge
    from bertkit.text.vocabulary_files import settings_file

    settings = settings_file(arguments.out)
    for path in (arguments.out, settings):
        if path.exists() and not arguments.overwrite:
            raise UserError(f"{path} exists; choose another name or say --overwrite to replace it.")
    given = {field.name: getattr(arguments, field.name) for field in fields(VocabularyOptions)}
    options = VocabularyOptions(**{name: value for name, value in given.items() if value is not None})
    console = plain_console(to_stderr=arguments.json)
    begin = time.perf_counter()
    with transient_bar(console, TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()) as bar:
        learned = learn_and_judge(_texts(arguments, bar), options, arguments.held_out)
    tokenizer = Tokenizer.from_vocabulary(learned.tokens, **options.cleaning)
    alphabet = learned.alphabet
    result = {
        "vocabulary": str(arguments.out),
        "algorithm": options.algorithm,
        "asked": options.size,
        "size": len(learned.tokens),
        "fingerprint": tokenizer.fingerprint,
        **{name: getattr(tokenizer, name) for name in options.cleaning},
        "texts": learned.texts,
        "words": learned.words,
        "distinct_words": learned.distinct_words,
        "alphabet": {"found": alphabet.found, "kept": len(alphabet.kept), "covered": alphabet.covered},
        "vowel_signs": learned.vowel_signs,
        "held_out": learned.held_out,
        "seconds": round(time.perf_counter() - begin, 3),
        "version": __version__,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(settings) as path:
        tokenizer.save_settings(path)
    with replace_file(arguments.out) as path:
        path.write_text("".join(f"{token}\n" for token in learned.tokens), encoding="utf-8", newline="\n")
    _show(result, console, _why_short(learned, options))
    if arguments.json:
        print(to_json(result))
    return 0


def _texts(arguments: argparse.Namespace, bar: Progress) -> Iterator[str]:
    """The texts of all files, while the bar moves; then it waits for the learner."""
    from bertkit.data.corpus import COMPRESSION, find_files, read_texts
    from bertkit.data.files import COMPRESSIONS
    from bertkit.data.formats import format_of

    kind = f".{arguments.format}" if arguments.format else None
    how = {"column": arguments.column, "header": arguments.header, "kind": kind, **text_options(arguments)}

    files, _ = find_files(arguments.texts)
    for path in files if kind is None else ():  # What is no text is refused before the first one is read.
        format_of(path, text=True)
    sizes = [path.stat().st_size if path.is_file() else 0 for path in files]
    task = bar.add_task("reading", total=sum(sizes))
    for index, path in enumerate(files):
        bar.update(task, description=f"reading {path.name}", completed=sum(sizes[:index]))
        share = 1 / COMPRESSION if path.suffix in COMPRESSIONS else 1
        characters = told = 0
        for text in read_texts(path, **how):
            yield text
            characters += len(text) + 1
            if characters - told > _STEP:
                told = characters
                bar.update(task, completed=sum(sizes[:index]) + min(sizes[index], share * characters))
    bar.update(task, completed=sum(sizes))
    bar.add_task("learning", total=None)


def _why_short(learned: Learned, options: VocabularyOptions) -> str:
    """Why there are fewer tokens than were asked for, and what to do."""
    alphabet = learned.alphabet
    if len(alphabet.kept) < alphabet.found and alphabet.covered < COVERAGE_ENOUGH:
        return (
            f"the text has {alphabet.found:,} characters and the alphabet keeps {len(alphabet.kept):,} of "
            f"them, {alphabet.covered:.2%} of the text; words with another are not learned. Leave out "
            "--alphabet, or say --alphabet-coverage 1"
        )
    if options.split_cjk and learned.whole_words < learned.distinct_words / 10:
        return (
            f"the text has {alphabet.found:,} characters, and almost every word is one of them, as in "
            "Chinese. Ask for fewer tokens, or learn words of several characters with --no-split-cjk"
        )
    return WHY_SHORT[options.algorithm]


def _show(result: dict[str, Any], console: PlainConsole, why: str) -> None:
    """Print the result for people."""
    from bertkit.show.display import named_rows
    from bertkit.text.vocabulary_files import describe_cleaning

    rows = {
        "vocabulary": f"{result['vocabulary']}: {result['size']:,} tokens, {result['algorithm']}",
        "read": f"text {describe_cleaning(result[name] for name in CLEANING.values())}",
        "text": f"{result['texts']:,} texts, {result['words']:,} words, "
        f"{result['distinct_words']:,} of them different",
        "held out": "nothing",
        "time": f"{result['seconds']:.1f} s",
    }
    if held := result["held_out"]:
        rows["held out"] = (
            f"{held['texts']:,} texts, {held['words']:,} words: {held['fertility']:.3f} tokens a word, "
            f"{held['unknown']:.3%} of the words are [UNK]\n"
            "(to a vocabulary learned in the same way without them)"
        )
    console.print(named_rows(rows))
    size, asked = result["size"], result["asked"]
    if size < (1 - SHORTFALL) * asked:
        short = f"{size:,} tokens are {1 - size / asked:.0%} fewer than the {asked:,} asked for: {why}."
        console.say(short, "yellow")
    if result["vowel_signs"]:
        console.say(
            f"{result['vowel_signs']:,} vowel signs of the text were stripped with the accents, and "
            "different words became one. Say --no-strip-accents to keep them.",
            "yellow",
        )
