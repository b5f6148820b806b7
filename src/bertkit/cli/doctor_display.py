"""What a person sees of the doctor: what was measured before a run, and what came of one that was."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from bertkit.diagnose.wording import duration
from bertkit.health.trials import FIRST_RATE, LAST_RATE
from bertkit.runs.findings import Change, as_above, ways
from bertkit.show.audit_display import Measured, audit_lines
from bertkit.show.display import PlainConsole, plain_console, with_options
from bertkit.tasks.kinds import title

STYLES = {"grave": "red", "bad": "red", "notable": "yellow", "open": "yellow", "good": "green", "": "green"}
MARKS = {"grave": "✗", "notable": "!", "": "✓"}
OPEN = Text("·", style="dim")
"""Of what time ended before it could be judged."""
BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 40
"""Columns of a sketch."""
LEAST = 1e-8
"""A gradient whose bar is empty."""

Measures = Mapping[str, Any]


def show_preflight(found: Mapping[str, Any], shorter: Mapping[str, str]) -> None:
    """Print what `api.doctor` says of what would be done: what to change, why, and what was measured."""
    console = plain_console()
    measures, findings = found["measures"], found["findings"]
    if findings:
        _show_remedy(console, found, shorter)
        console.print("\nMeasured", style="bold")
    console.print(measures_table(measures, findings))
    if tested := measures["range_test"]:
        console.print("\nLoss of a few texts at rising learning rates", style="bold")
        for line in range_sketch(tested, measures["asked"]["lr"]):
            console.print(f"  {line}", soft_wrap=True)
    console.print("\nGradient norm by layer at the first step", style="bold")
    ends = (measures["overfit_trial"] or {}).get("gradient_norms")
    for line in gradient_sketch(measures["start"]["gradient_norms"], ends):
        console.print(f"  {line}", soft_wrap=True)
    if not findings:
        console.print("\nNothing is wrong, as far as one can see before.", style="green")
    if cut_short(measures):
        console.say("Time ended what is marked with ·, which was not judged: --seconds gives it more.")


def show_audit(found: Mapping[str, Any], shorter: Mapping[str, str], page: Path | None) -> None:
    """Print what an audit of rows came to: what is wrong, and what was measured.

    Args:
        found: see `diagnose.audit.Audited.to_json`.
        shorter: options that stand for keys of a recipe, by key.
        page: that was written.
    """
    console = plain_console()
    measures, findings = found["measures"], found["findings"]
    for words in found["told"]:
        console.say(words, "dim")
    for finding in findings:
        console.print()
        console.say(finding_text(finding, shorter=shorter))
    console.print("\nMeasured" if findings else "", style="bold")
    console.print(lines_table(audit_lines(measures["audit"], alone=True), findings))
    if not findings:
        console.print("\nNothing is wrong, as far as one can see without a model.", style="green")
    if page is not None:
        console.print(f"\npage {page}", soft_wrap=True)


def show_run(found: Mapping[str, Any], shorter: Mapping[str, str]) -> None:
    """Print what `api.doctor` says of a run: whether it learned, what to do, why, answers to questions."""
    console = plain_console()
    console.say(found["verdict"], f"bold {STYLES[found['level']]}")
    _show_remedy(console, found, shorter)
    if not found["findings"]:
        console.print("\nNo check found anything wrong with it.")
    console.print()
    for answer in found["answers"]:
        console.say(Text.assemble((answer["question"], "bold"), f" {answer['words']}"))
    if found["page"]:
        console.print(f"\npage {found['page']}", soft_wrap=True)
    else:
        console.say(f"\nNo page was written: {found['run']} can't be written to.")


def _show_remedy(console: PlainConsole, found: Mapping[str, Any], shorter: Mapping[str, str]) -> None:
    """One command that makes all changes, then the findings, the gravest first.

    Args:
        console: where.
        found: what the doctor found.
        shorter: options that stand for keys of a recipe, by key.
    """
    chosen = settings_of(found["again"])
    if chosen:
        console.print("\nDo this:", style="bold")
        # A shell reads it as one line, so it is never broken.
        console.print(f"  {shortened(found['again'], shorter)}", soft_wrap=True)
    if found["findings"]:
        console.print("\nWhy:" if chosen else "\nWhat is wrong:", style="bold")
    above: list[Change] = []
    for finding in found["findings"]:
        changes = [Change(**change) for change in finding["changes"]]
        # One value of a key, the one of the command: others would only contradict it.
        agreed = [each for each in changes if chosen.get(each.key, each.typed) == each.typed]
        said = {**finding, "changes": [asdict(change) for change in agreed]}
        console.say(finding_text(said, above, shorter))
        above += agreed
        if finding is not found["findings"][-1]:
            console.print()


def settings_of(command: str) -> dict[str, str]:
    """What a command sets, by key, as it is typed."""
    words = shlex.split(command)
    settings = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    return {setting.partition("=")[0]: f"--set {setting}" for setting in settings}


def shortened(command: str, shorter: Mapping[str, str]) -> str:
    """A command with the options that stand for keys of a recipe, where there are such."""
    words = shlex.split(command)
    for place in [place for place, word in enumerate(words) if word == "--set"][::-1]:
        key, _, value = words[place + 1].partition("=")
        if (flag := shorter.get(key)) is not None:
            words[place : place + 2] = [flag, value]
    return shlex.join(words)


def measures_table(measures: Measures, findings: Sequence[Mapping[str, Any]]) -> Table:
    """What was measured of a run to come: see `lines_table`."""
    return lines_table(_rows(measures), findings, cut_short(measures))


def lines_table(
    lines: Iterable[Measured], findings: Sequence[Mapping[str, Any]], unjudged: Sequence[str] = ()
) -> Table:
    """What was measured, with a mark: nothing found, something notable, something grave, not judged."""
    weights = {finding["check"]: finding["weight"] for finding in reversed(findings)}
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, text, checks in lines:
        met = {weights[check] for check in checks.split() if check in weights}
        weight = "grave" if "grave" in met else "notable" if met else ""
        mark = Text(MARKS[weight], style=STYLES[weight])
        table.add_row(OPEN if not weight and name in unjudged else mark, name, text)
    return table


def cut_short(measures: Measures) -> list[str]:
    """The trials that time ended before they told anything."""
    trial, tested = measures["overfit_trial"], measures["range_test"]
    found = ["overfit"] if trial and trial["ended"] == "time" else []
    return [*found, "learning rate"] if tested and tested["ended"] == "time" else found


def finding_text(
    finding: Mapping[str, Any], above: Sequence[Change] = (), shorter: Mapping[str, str] | None = None
) -> Text:
    """A finding: what was seen, what it means, what to change, if those `above` did not say all of it.

    `shorter` are the options that stand for keys of a recipe, by key.
    """
    text = Text()
    text.append(f"{finding['weight']}, {finding['sureness']}: ", style=f"bold {STYLES[finding['weight']]}")
    text.append(f"{finding['seen']} {finding['means']}")
    changes = [Change(**change) for change in finding["changes"]]
    said = [["as above"]] if as_above(changes, above) else [[*map(str, way)] for way in ways(changes)]
    for number, way in enumerate(said):
        for place, change in enumerate(way):
            text.append(f"\n    {'  with' if place else '    or' if number else 'change'}: ", style="bold")
            text.append(with_options(change, shorter or {}))
    if finding["read"]:
        text.append(f"\n    read: {finding['read']}")
    return text


def _rows(measures: Measures) -> Iterator[Measured]:
    if measures["rows"]:
        yield from _labelled(measures["rows"], measures["asked"])
        yield from audit_lines(measures["audit"])
    if measures["corpus"]:
        corpus = (
            "{documents:,} documents, {train_tokens:,} tokens to train on, {heldout_tokens:,} held out; read "
            "{epochs:.2f} times, {tokens_a_step:,} tokens a step"
        )
        yield "corpus", corpus.format_map(measures["corpus"]), "text_repeated few_updates"
    yield from _tokens(measures)
    yield from _model(measures["start"])
    yield from _trials(measures)
    if cost := measures["cost"]:
        own = cost["weights"] + cost["gradients"] + cost["moments"]
        free = f"; {cost['available'] / 1e9:.1f} GB are free" if cost["available"] else ""
        memory = (
            f"about {(cost['base'] + own + cost['activations']) / 1e9:.2f} GB: {own / 1e9:.2f} for weights, "
            f"gradients and moments, {cost['activations'] / 1e9:.2f} for the largest batch{free}"
        )
        yield "memory", memory, "memory"
        time = "{steps:,} steps of {seconds_a_step:.2g} s, {parameters:,} parameters".format_map(cost)
        yield "time", f"about {duration(cost['seconds'])}: {time}", "few_updates"


def _labelled(rows: Measures, asked: Measures) -> Iterator[Measured]:
    counts = "{train_rows:,} to train on, {dev_rows:,} to score".format_map(rows)
    yield "rows", counts, "labels_differ numbers_differ few_rows"
    blind = f"baseline loss {rows['baseline_loss']:.3f}; always answering"
    if "counts" in rows:
        shares = sorted(rows["counts"].items(), key=lambda item: -item[1])
        classes = ", ".join(f"{label} {count / rows['train_rows']:.1%}" for label, count in shares[:5])
        classes += f" and {len(shares) - 5} more" if len(shares) > 5 else ""
        scored = f"accuracy {rows['majority_accuracy']:.3f}"
        if asked["metric"] != "accuracy":
            name = title(asked["metric"], rows["positive"])
            scored = f"{name} {rows['majority_score']:.3f}, {scored}"
        classes += f"; {blind} {rows['majority_label']!r}, {scored}"
        yield "labels", classes, "rare_label unseen_label imbalance"
    if "deviation" in rows:
        numbers = "mean {mean:.3g}, deviation {deviation:.3g}, from {least:.3g} to {greatest:.3g}"
        scored = f"{title(asked['metric'])} {rows['mean_score']:.3f}"
        yield "scores", f"{numbers.format_map(rows)}; {blind} the mean, {scored}", "outliers"
    order = (
        "labels vary {batch_dispersion:.1f} times as much between batches as by chance, "
        "{file_dispersion:.1f} times along the file; "
        + ("{one_label:.0%} of the batches have one label; " if "one_label" in rows else "")
        + "neighbours in the file share {neighbours_alike:.0%} of their tokens, "
        "strangers {strangers_alike:.0%}"
    )
    yield "order", order.format_map(rows), "batches_of_one_label file_order"


def _tokens(measures: Measures) -> Iterator[Measured]:
    tokens, asked = measures["tokens"], measures["asked"]
    case = "small letters" if tokens["lowercase"] else "cased"
    unknown = f": {', '.join(tokens['unknown_words'])}" if tokens["unknown_words"] else ""
    text = (
        f"{tokens['unknown']:.2%} [UNK]{unknown}; {tokens['tokens_a_word']:.2f} a word; "
        f"{tokens['vocabulary_size']:,} in the vocabulary, {case}"
    )
    yield "tokens", text, "unknown_tokens chopped_words vocabulary_case"
    padding = f"{tokens['padding']:.0%} of batches padded to {asked['max_length']}; none is computed"
    if tokens["visible_pads"]:
        padding = (
            f"{tokens['visible_pads']:.0%} of the tokens are pads that attention sees; of that of [CLS] they "
            f"get {measures['start']['attention_to_pads']:.0%}"
        )
    yield "padding", padding, "pads_visible"
    if asked["phase"] == "finetune":
        cut = f"{tokens['truncated']:.1%} of the sequences are cut at {asked['max_length']} tokens"
        yield "length", cut, "truncated"


def _model(start: Measures) -> Iterator[Measured]:
    sizes = f"tokens of size {start['token_size']:.3f}, segments {start['segment_size']:.3f}"
    if start["position_size"] is not None:
        ratio = start["position_size"] / start["token_size"] if start["token_size"] else math.inf
        sizes += f", positions {start['position_size']:.3f}: {ratio:.1f} to 1"
    yield "embeddings", sizes, "embedding_scale frozen_fresh"
    yield "first loss", "{loss:.3f}; uniform guessing gives {uniform:.3f}".format_map(start), "loss_at_start"
    layers = [norm for name, norm in start["gradient_norms"].items() if name.startswith("layer ")]
    if len(layers) > 1:
        text = f"first layer {layers[0]:.2g}, last layer {layers[-1]:.2g}"
        text += f": top to bottom {layers[-1] / layers[0]:.2g}" if layers[0] else ""
        yield "gradient", text, "gradient_by_layer"
    if start["cls_spread"]:
        spread = list(start["cls_spread"].values())[-1]
        yield "inputs", f"their [CLS] vectors differ by {spread:.1%} at the top", "inputs_alike"


def _trials(measures: Measures) -> Iterator[Measured]:
    if trial := measures["overfit_trial"]:
        steps, last = len(trial["losses"]), trial["losses"][-1] if trial["losses"] else math.nan
        unknown = f"{trial['rows']} texts are not learned after {steps} steps"
        text = {
            "learnt": f"{trial['rows']} texts are learned after {steps} steps",
            "steps": f"{unknown}: the loss is {last:.3f}",
            "stopped": f"{unknown}, and the signal has stopped at {trial['stops_at']}: "
            f"the loss is {last:.3f}",
            "time": f"time was up after {steps} of {trial['limit']} steps, the loss {last:.3f}",
            "diverged": f"the loss was no number after {steps} steps",
        }[trial["ended"]]
        if (calmer := trial["calmer"]) and calmer["losses"]:
            text += (
                f"; at a tenth of the learning rate {calmer['losses'][-1]:.3f} after {len(calmer['losses'])}"
            )
        yield (
            "overfit",
            text if calmer else f"{text} at a learning rate of {trial['rate']:g}",
            "cannot_overfit_batch",
        )
    if tested := measures["range_test"]:
        falls, cliff = tested["falls_at"], tested["cliff"]
        reached = tested["rates"][-1] if tested["rates"] else 0.0
        text = f"{measures['asked']['lr']:g}; "
        text += f"the loss falls from {falls:.1g} on" if falls else "no fall"
        text += f", the cliff is at {cliff:.1g}" if cliff else f", no cliff up to {reached:.1g}"
        text += ", where time was up" if tested["ended"] == "time" else ""
        yield "learning rate", text, "learning_rate_over_cliff learning_rate_too_small learning_rate_too_high"


def range_sketch(tested: Measures, lr: float) -> list[str]:
    """The smoothed loss as bars over a logarithmic axis of rates; below, the recipe's and the cliff."""
    first, last = FIRST_RATE, LAST_RATE

    def column(rate: float) -> int:
        place = math.log(max(rate, first) / first) / math.log(last / first)
        return min(WIDTH - 1, round(place * (WIDTH - 1)))

    low, high = min(tested["smoothed"], default=0.0), max(tested["smoothed"], default=1.0)
    bars, marks = [" "] * WIDTH, [" "] * WIDTH
    for rate, loss in zip(tested["rates"], tested["smoothed"], strict=True):
        bars[column(rate)] = BLOCKS[round((loss - low) / max(high - low, 1e-9) * (len(BLOCKS) - 1))]
    words = []
    if tested["cliff"] is not None:
        marks[column(tested["cliff"])] = "┃"
        words.append(f"┃ cliff {tested['cliff']:.1g}")
    marks[column(lr)] = "▲"
    words.insert(0, f"▲ the recipe's {lr:g}")
    return [
        f"{''.join(bars)}  {low:.2f} to {high:.2f}",
        f"{''.join(marks)}  {', '.join(words)}",
        f"{f'{first:.0e}':<{WIDTH // 2}}{f'{last:.0e}':>{WIDTH // 2}}",
    ]


def gradient_sketch(norms: Mapping[str, float], ends: Mapping[str, float] | None) -> list[str]:
    """A bar a layer, the top first, on a logarithmic scale; beside it the norm after overfitting a batch.

    What is no number has no bar.
    """
    most = max([*filter(math.isfinite, norms.values()), LEAST * 10])
    width = max(len(name) for name in norms)
    lines = []
    for name, norm in reversed(list(norms.items())):
        share = math.log(max(min(norm, most), LEAST) / LEAST) / math.log(most / LEAST)
        bar = "█" * round(share * WIDTH / 2) if math.isfinite(norm) else ""
        after = f"  at the end of the trial {ends[name]:.1e}" if ends and name in ends else ""
        lines.append(f"{name:<{width}}  {bar:<{WIDTH // 2}}  {norm:.1e}{after}")
    return lines
