"""Says what to do first, by how much of the F1 it could give."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from stages.scoring.groups import f1_if_fixed, frequency
from stages.scoring.in_train import InTrain
from stages.scoring.mistakes import Judged, Mistake
from stages.scoring.spans import counts, counts_by, micro_f1

LINES = 3
MORE = 1.25  # times as many mistakes as entities

# Kinds of mistakes with one remedy: what is wrong, what to do.
GROUPS = {
    ("too_long", "too_short", "shifted"): (
        "have a wrong first or last character",
        "Read them below; where two annotators would differ, settle the rule in the corpus.",
    ),
    ("type",): (
        "have the right characters and the wrong type",
        "Look up the two types that mix, and settle their rule in the corpus.",
    ),
    ("missed",): (
        "are missed, with no prediction there",
        "Train longer, or on more sentences like them.",
    ),
    ("false_positive",): (
        "are predicted where there is no entity",
        "Choose a threshold under Confidence, or add sentences without entities to train.",
    ),
}


@dataclass(frozen=True)
class Advice:
    """A group of mistakes that is worth correcting.

    Attributes:
        finding: What the figures say of it.
        remedy: What to do about it.
        section: The id of the section of the page that shows it.
        f1_if_fixed: The micro F1 if all of these mistakes were corrected, and no other.
    """

    finding: str
    remedy: str
    section: str
    f1_if_fixed: float


def advice(
    judged: Sequence[Judged],
    in_train: InTrain,
    score: Callable[[float | None], str],
) -> list[Advice]:
    """At most `LINES` of unseen names, kinds of mistakes and a type, the largest gain first.

    Args:
        judged: The test sentences.
        in_train: How many entities train has of each text and type.
        score: Prints an F1.
    """
    if not any(sentence.mistakes for sentence in judged):
        return []
    found = [*_unseen(judged, in_train, score), *_kinds(judged), *_weakest_type(judged, score)]
    return sorted(found, key=lambda each: -each.f1_if_fixed)[:LINES]


def _unseen(
    judged: Sequence[Judged],
    in_train: InTrain,
    score: Callable[[float | None], str],
) -> Iterator[Advice]:
    times = frequency(in_train)
    share, f1 = _fixed(judged, lambda sentence, mistake: times(sentence, mistake.span) == 0)
    groups = counts_by(judged, lambda sentence, span: times(sentence, span) > 0)
    support = {is_seen: group.counts[:, 0].sum() for is_seen, group in groups.items()}
    names = support.get(False, 0) / max(sum(support.values()), 1)
    # Most names of a test split may be new; they are the trouble if the mistakes are at them.
    if True in groups and share > MORE * names > 0:
        unseen, seen = (score(micro_f1(groups[is_seen].counts)) for is_seen in (False, True))
        yield Advice(
            f"Names that train does not have are {names:.0%} of the entities and {share:.0%} of the"
            f" mistakes: F1 {unseen}, against {seen} for the others.",
            "Add sentences with other names to train, or choose a larger encoder.",
            "where",
            f1,
        )


def _kinds(judged: Sequence[Judged]) -> Iterator[Advice]:
    for kinds, (finding, remedy) in GROUPS.items():
        share, f1 = _fixed(judged, _is_of(kinds))
        if share:
            yield Advice(f"{share:.0%} of the mistakes {finding}.", remedy, "mistakes", f1)


def _is_of(kinds: tuple[str, ...]) -> Callable[[Judged, Mistake], bool]:
    return lambda _, mistake: mistake.kind in kinds


def _weakest_type(
    judged: Sequence[Judged], score: Callable[[float | None], str]
) -> Iterator[Advice]:
    groups = counts_by(judged, lambda _, span: span.type)
    of_types = {type_: groups[type_].counts for type_ in sorted(groups)}
    f1s = {type_: micro_f1(group) for type_, group in of_types.items() if group[:, 0].any()}
    if len(f1s) > 1:
        weakest = min(f1s, key=lambda type_: f1s[type_])
        share, f1 = _fixed(judged, lambda _, mistake: mistake.span.type == weakest)
        yield Advice(
            f"{weakest} is the weakest type: F1 {score(f1s[weakest])}, against"
            f" {score(micro_f1(counts(judged)))} over all types, and {share:.0%} of the mistakes.",
            f"Add sentences with {weakest} to train, and read its mistakes below.",
            "types",
            f1,
        )


def _fixed(
    judged: Sequence[Judged], chosen: Callable[[Judged, Mistake], bool]
) -> tuple[float, float]:
    """The share of the chosen mistakes, and the micro F1 without them."""
    all_ = missed = spurious = 0
    for sentence in judged:
        all_ += len(sentence.mistakes)
        for mistake in sentence.mistakes:
            if chosen(sentence, mistake):
                missed += mistake.in_gold
                spurious += not mistake.in_gold
    total = counts(judged).sum(axis=0)
    return (missed + spurious) / all_, f1_if_fixed(total, missed, spurious)
