import pytest

from pipelines.registry import keys


@pytest.mark.parametrize(
    ("figure", "metric", "before"),
    [
        ("test.f1", "aggregate/f1", "test.f1"),
        ("export.f1", "aggregate/onnx_f1", "export.f1"),
        ("export.PER.f1", "export/PER.f1", "export.PER.f1"),
        ("export.A/B.c.f1", "export/A/B.c.f1", "export.A/B.c.f1"),
    ],
)
def test_a_metric_gives_its_figure_back_also_by_its_name_of_before(figure, metric, before) -> None:
    assert keys.metric(figure) == metric
    assert keys.figure(metric) == keys.figure(before) == figure


def test_the_section_of_headlines_comes_first_and_is_short() -> None:
    sections = ["align", "export", "measured", "robustness", "slices", "test", "train"]
    found = [name.split("/")[0] for name in keys.METRICS.values()]
    assert len(set(found)) == 1
    assert sorted([found[0], *sections])[0] == found[0]
    assert len(found) <= 12
