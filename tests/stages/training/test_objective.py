import pytest

from stages.training import objective
from stages.training.checkpoint import TrainingState
from stages.training.objective import Evaluation, Objective


@pytest.fixture
def of_steps():
    """An objective of that many steps and evaluations."""

    def of_steps(steps, evaluations):
        return Objective(
            name="train",
            learning_rate=("train.learning_rate", 0.1),
            tokens=[8] * steps,
            labelled=[4.0] * steps,
            batches=lambda _: [],
            evaluation=Evaluation(evaluations, lambda _: 0.5) if evaluations else None,
        )

    return of_steps


@pytest.mark.parametrize(
    ("steps", "evaluations", "expected"),
    [(10, 2, [5, 10]), (11, 2, [6, 11]), (5, 4, [2, 4, 5]), (3, 9, [1, 2, 3]), (9, 0, [])],
)
def test_evaluations_are_spread_and_the_last_step_has_one(of_steps, steps, evaluations, expected):
    made = of_steps(steps, evaluations)
    assert [step for step in range(steps + 1) if made.evaluates_after(step)] == expected


def test_each_evaluated_step_has_a_row_and_of_the_others_some(of_steps, monkeypatch):
    monkeypatch.setattr(objective, "LOSS_ROWS", 4)
    made = of_steps(12, 2)
    assert [step for step in range(1, 13) if made.logs_after(step)] == [3, 6, 9, 12]
    assert [step for step in range(1, 13) if of_steps(12, 3).logs_after(step)] == [
        3,
        4,
        6,
        8,
        9,
        12,
    ]


def test_it_ends_at_the_last_step_or_without_a_better_f1(of_steps):
    made = of_steps(12, 4)
    assert not made.ends_after(TrainingState(step=8, best_step=3), patience_evals=2)
    assert made.ends_after(TrainingState(step=9, best_step=3), patience_evals=2)
    assert made.ends_after(TrainingState(step=12, best_step=12), patience_evals=2)
    without = of_steps(12, 0)
    assert not without.ends_after(TrainingState(step=11), patience_evals=1)
    assert without.ends_after(TrainingState(step=12), patience_evals=1)
