"""`report.html` and `doctor.html`: pages of a run that need but a browser, and which sections they have."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bertkit.diagnose import choices, classes, labels, numbers, objectives, questions, sections, tags
from bertkit.diagnose.doctor import Examination, examined, findings_in
from bertkit.diagnose.page import REPORT, page_text, side, write_page
from bertkit.diagnose.sections import Told
from bertkit.diagnose.wording import model_name
from bertkit.errors import UserError
from bertkit.recipe.parts import Phase
from bertkit.runs.folder import RESULT, last_logged
from bertkit.runs.reader import read_history, read_result
from bertkit.tasks.answer import ANSWERS
from bertkit.tasks.choose import CHOOSE
from bertkit.tasks.classify import CLASSIFY
from bertkit.tasks.multilabel import MULTILABEL
from bertkit.tasks.regress import REGRESS
from bertkit.tasks.tag import TAG
from bertkit.version import __version__

DOCTOR_PAGE = "doctor.html"
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
LABELLED: tuple[Phase, ...] = ("finetune",)
UNLABELLED: tuple[Phase, ...] = ("pretrain",)


@dataclass(frozen=True)
class Section:
    """A section, and the runs whose pages have it.

    Attributes:
        make: its HTML, empty where it has nothing to say.
        of: the phases of a run that it is about.
        done: whether it is only about what came of a run in the end.
        kinds: of the tasks that it is about; empty of all.
    """

    make: Callable[[Told], str]
    of: tuple[Phase, ...] = LABELLED + UNLABELLED
    done: bool = False
    kinds: tuple[str, ...] = ()

    def about(self, told: Told) -> bool:
        """Whether the page of a run has it."""
        kind = told.result.get("kind")
        known = not self.done or bool(told.result)
        return told.history.phase in self.of and known and (not self.kinds or kind in self.kinds)


CLASSES, NUMBERS, SETS, TAGS = (CLASSIFY.name,), (REGRESS.name,), (MULTILABEL.name,), (TAG.name,)
QUESTIONS, CHOICES = (ANSWERS.name,), (CHOOSE.name,)
Page = tuple[tuple[Section, ...], ...]
"""From top to bottom; several sections stand beside one another where the window is wide enough."""
REPORT_SECTIONS: Page = (
    (Section(sections.verdict),),
    (
        Section(objectives.standing, LABELLED, done=True),
        Section(objectives.labelled_facts, LABELLED, done=True),
    ),
    (Section(objectives.text_facts, UNLABELLED),),
    (Section(sections.restarts),),
    (Section(sections.findings),),
    (Section(objectives.about_rows, LABELLED, done=True),),
    (
        Section(objectives.loss, LABELLED),
        Section(objectives.score, LABELLED),
        Section(objectives.masked_loss, UNLABELLED),
        Section(objectives.restored, UNLABELLED),
    ),
    (Section(objectives.gradients_and_metrics, LABELLED),),
    (Section(classes.by_class, LABELLED, done=True, kinds=CLASSES),),
    (
        Section(tags.by_type, LABELLED, done=True, kinds=TAGS),
        Section(tags.confused, LABELLED, done=True, kinds=TAGS),
    ),
    (Section(labels.by_label, LABELLED, done=True, kinds=SETS),),
    (Section(sections.gradients_by_layer, UNLABELLED),),
    (
        Section(classes.calibration, LABELLED, done=True, kinds=CLASSES),
        Section(classes.thresholds, LABELLED, done=True, kinds=CLASSES),
    ),
    (Section(numbers.points, LABELLED, done=True, kinds=NUMBERS),),
    (Section(objectives.baseline_losses, UNLABELLED, done=True),),
    (Section(objectives.seeds, LABELLED, done=True),),
    (Section(objectives.seeds_of_text, UNLABELLED, done=True),),
    (Section(questions.by_first_word, LABELLED, done=True, kinds=QUESTIONS),),
    (Section(choices.by_place, LABELLED, done=True, kinds=CHOICES),),
    (Section(classes.mistakes, LABELLED, done=True, kinds=CLASSES + QUESTIONS + CHOICES),),
    (Section(labels.mistakes_of_sets, LABELLED, done=True, kinds=SETS),),
    (Section(numbers.furthest, LABELLED, done=True, kinds=NUMBERS),),
    (Section(tags.tag_mistakes, LABELLED, done=True, kinds=TAGS),),
    (Section(sections.ways_on),),
)
HEAD = 3
"""Rows of it that say what came of the run."""
DOCTOR_SECTIONS: Page = (
    (Section(sections.verdict),),
    (Section(sections.findings),),
    (Section(sections.again),),
    (Section(sections.answers), Section(sections.gradients_seen)),
    (
        Section(objectives.loss, LABELLED),
        Section(objectives.score, LABELLED),
        Section(objectives.masked_loss, UNLABELLED),
        Section(objectives.restored, UNLABELLED),
        Section(sections.inputs_apart),
        Section(sections.updates_seen),
        Section(sections.attention_seen),
        Section(sections.dead_units_seen),
    ),
    (Section(sections.recipe),),
)


def made(page: Page, told: Told) -> list[str]:
    """The parts of a page."""
    parts = []
    for row in page:
        found = [section.make(told) for section in row if section.about(told)]
        parts.append(side(*found) if len(row) > 1 else "".join(found))
    return parts


def write_report(run: Path) -> Path:
    """Write `RUN/report.html` of a run of either phase from what it has logged so far, and return its path.

    A run that is not finished has a page too, without what only its result tells.

    Raises:
        UserError: the folder has neither a log nor a result, or one of them is damaged.
    """
    told = _told(run)
    return write_page(
        run / REPORT, told.name, made(REPORT_SECTIONS, told), told.result.get("version", __version__)
    )


def report_head(run: Path) -> str:
    """The HTML of a page that has only the beginning of what `write_report` writes; raises what that does."""
    told = _told(run)
    return page_text(told.name, made(REPORT_SECTIONS[:HEAD], told))


def _told(run: Path) -> Told:
    read = read_result(run)
    result = {} if read is None else dict(read.values)
    history = read_history(run, without_recipe=True)
    if not result and last_logged(run) is None:
        raise UserError(
            f"{run} is no run folder: it has neither {RESULT} nor a log. Give the folder of a run."
        )
    name = run.resolve().name
    if result and history.phase == "pretrain":
        name = f"{result['model']} from text"
    elif result:
        name = f"{model_name(result['model'])} on {result['task']}"
    # A log that somebody sent has curves, and no recipe that could be judged by.
    findings = findings_in(run, history) if history.known else []
    return Told(run, name, history, result, findings)


def write_doctor_page(run: Path) -> tuple[Examination, Path | None]:
    """Examine a run and write `RUN/doctor.html`; returns what was found and the page's path.

    The path is None where the folder may be read and not written to.

    Raises:
        UserError: see `read_history`.
    """
    history = read_history(run)
    found = examined(run, history)
    name = run.resolve().name
    parts = made(DOCTOR_SECTIONS, Told(run, name, history, {}, found.findings, found))
    try:
        return found, write_page(run / DOCTOR_PAGE, f"doctor · {name}", parts)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        return found, None
