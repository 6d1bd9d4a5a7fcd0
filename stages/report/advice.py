"""Says what to do first, by how much of the F1 it could give."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stages.scoring.groups import f1_if_fixed, frequency
from stages.scoring.mistakes import Judged, Mistake
from stages.scoring.spans import counts, counts_by, micro_f1

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
        what_to_do: About it.
        section: The id of the section of the page that shows it.
        f1_if_fixed: The micro F1 if all of these mistakes were corrected, and no other.
    """

    finding: str
    what_to_do: str
    section: str
    f1_if_fixed: float


def advice(
    judged: Sequence[Judged],
    in_train: Mapping[tuple[str, str], int],
    score: Callable[[float | None], str],
) -> list[Advice]:
    """A line each about unseen names, a kind of mistake and a type, the largest gain first.

    Args:
        judged: The test sentences.
        in_train: How many entities train has of each text and type.
        score: Prints an F1.
    """
    if not any(sentence.mistakes for sentence in judged):
        return []
    found = [*_unseen(judged, in_train, score), *_kind(judged), *_weakest_type(judged, score)]
    return sorted(found, key=lambda each: -each.f1_if_fixed)


def _unseen(
    judged: Sequence[Judged],
    in_train: Mapping[tuple[str, str], int],
    score: Callable[[float | None], str],
) -> Iterator[Advice]:
    times = frequency(in_train)
    share, f1 = _fixed(judged, lambda sentence, mistake: times(sentence, mistake.span) == 0)
    groups = counts_by(judged, lambda sentence, span: times(sentence, span) > 0)
    if False in groups and True in groups:
        unseen, seen = (score(micro_f1(groups[is_seen])) for is_seen in (False, True))
        names = groups[False][:, 0].sum() / sum(group[:, 0].sum() for group in groups.values())
        yield Advice(
            f"Names that train does not have are {names:.0%} of the entities and {share} of the"
            f" mistakes: F1 {unseen}, against {seen} for the others.",
            "Add sentences with other names to train, or choose a larger encoder.",
            "where",
            f1,
        )


def _kind(judged: Sequence[Judged]) -> Iterator[Advice]:
    fixed = {kinds: _fixed(judged, _is_of(kinds)) for kinds in GROUPS}
    kinds, (share, f1) = max(fixed.items(), key=lambda each: each[1][1])
    finding, what_to_do = GROUPS[kinds]
    yield Advice(f"{share} of the mistakes {finding}.", what_to_do, "mistakes", f1)


def _is_of(kinds: tuple[str, ...]) -> Callable[[Judged, Mistake], bool]:
    return lambda _, mistake: mistake.kind in kinds


def _weakest_type(
    judged: Sequence[Judged], score: Callable[[float | None], str]
) -> Iterator[Advice]:
    groups = counts_by(judged, lambda _, span: span.type)
    f1s = {type_: micro_f1(group) for type_, group in sorted(groups.items()) if group[:, 0].any()}
    if len(f1s) > 1:
        weakest = min(f1s, key=lambda type_: f1s[type_])
        share, f1 = _fixed(judged, lambda _, mistake: mistake.span.type == weakest)
        yield Advice(
            f"{weakest} is the weakest type: F1 {score(f1s[weakest])}, against"
            f" {score(micro_f1(counts(judged)))} over all types, and {share} of the mistakes.",
            f"Add sentences with {weakest} to train, and read its mistakes below.",
            "types",
            f1,
        )


def _fixed(
    judged: Sequence[Judged], chosen: Callable[[Judged, Mistake], bool]
) -> tuple[str, float]:
    """The share of the chosen mistakes, and the micro F1 without them."""
    all_, here = 0, []
    for sentence in judged:
        all_ += len(sentence.mistakes)
        here += [mistake for mistake in sentence.mistakes if chosen(sentence, mistake)]
    missed = sum(mistake.in_gold for mistake in here)
    total = counts(judged).sum(axis=0)
    return f"{len(here) / all_:.0%}", f1_if_fixed(total, missed, len(here) - missed)
