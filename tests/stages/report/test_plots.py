import pytest

from stages.report.plots import Axis, f1_by_type, learning_curves, reliability_plot


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 1, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (0, 1700, ["0", "500", "1000", "1500"]),
        (0.6512, 0.9697, ["0.7", "0.8", "0.9"]),
        (0, 3, ["0", "1", "2", "3"]),
        (-0.0005, 0.0005, ["-0.0004", "-0.0002", "0", "0.0002", "0.0004"]),
    ],
)
def test_ticks_are_round_and_few(low, high, labels):
    axis = Axis(low, high, 0, 100)
    assert [label for _, label in axis.ticks] == labels
    for pixel, label in axis.ticks:
        assert pixel == pytest.approx(100 * (float(label) - low) / (high - low), abs=0.06)


def test_the_curves_have_the_rows_that_hold_a_value(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("step,loss,lr,dev_f1\n1,2.0,0.1,\n2,1.0,0.1,0.5\n4,0.5,0.0,0.5\n")
    loss, dev = learning_curves(path)
    assert [loss.title, dev.title] == ["Loss on train", "F1 on dev"]
    assert [loss.x.at(step) for step in (1, 2, 4)] == [x for x, _ in loss.dots]
    assert [loss.y.at(value) for value in (2.0, 1.0, 0.5)] == [y for _, y in loss.dots]
    assert len(dev.dots) == 2
    assert dev.dots[0][1] == dev.dots[1][1]
    assert "From 2.0000 at step 1 to 0.5000 at 4" in loss.description
    path.write_text("step,loss,lr,dev_f1\n1,2.0,0.1,\n")
    assert [plot.title for plot in learning_curves(path)] == ["Loss on train"]


def test_a_column_is_as_high_as_the_share_that_is_right():
    plot = reliability_plot([{"low": 0.5, "high": 1.0, "precision": 0.25}])
    [(x, y, width, height)] = plot.columns
    assert (x, x + width) == (plot.x.at(0.5) + 1, plot.x.at(1) - 1)
    assert (y, y + height) == (plot.y.at(0.25), pytest.approx(plot.y.at(0)))


def test_a_type_has_a_dot_in_its_interval_and_its_name_beside_it():
    rows = {name: {"f1": 0.8, "f1_low": 0.7, "f1_high": 0.95} for name in ("PER", "A_LONG_NAME")}
    plot = f1_by_type(rows)
    assert [name for _, name in plot.names] == list(rows)
    for (x, y), (low, at, high), (beside, _) in zip(
        plot.dots, plot.intervals, plot.names, strict=True
    ):
        assert (low, x, high) == tuple(plot.x.at(value) for value in (0.7, 0.8, 0.95))
        assert y == at == beside
    assert plot.dots[0][1] < plot.dots[1][1] < plot.y.at(0) + 2 * 26
    assert plot.x.start >= 8 * len("A_LONG_NAME")
