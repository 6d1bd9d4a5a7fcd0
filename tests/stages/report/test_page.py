"""A page made of any template: whole, offline, and with nothing of a corpus taken for markup."""

import base64
import hashlib
import re

import pytest
from jinja2 import UndefinedError

from stages.report.page import page

TEMPLATE = """\
{% extends "shell.html" %}
{% import "macros.html" as show with context %}
{% block title %}{{ title }}{% endblock %}
{% block main %}<p title="{{ title }}">{{ title }}</p>
{{ show.scores("of", "About", "Group", rows, 0.1, {"Found": "found"}) }}{% endblock %}
"""
ROW = {
    "f1": 0.12345,
    "precision": 1.0,
    "recall": 0.0,
    "support": 12345,
    "found": 7,
    "interval": (0.1, 0.2),
}


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "mine.html"
    path.write_text(TEMPLATE, encoding="utf-8")
    return path


def test_what_a_corpus_holds_is_no_markup(template):
    bad = "\"'<script>alert(1)</script><!-- ]]> {{ title }} &amp;"
    html = page(template, {"title": bad, "rows": [ROW | {"name": bad}]}, None)
    assert html.count("<script") == html.count("</script>") == 1
    assert "<!--" not in html
    escaped = "&#34;&#39;&lt;script&gt;alert(1)&lt;/script&gt;&lt;!-- ]]&gt; {{ title }} &amp;amp;"
    assert html.count(escaped) == 4
    assert "<td>0.12</td><td>0.10–0.20</td>" in html
    assert "<td>1.00</td><td>0.00</td><td>12,345</td><td>7</td>" in html


def test_a_group_without_entities_has_dashes_and_no_dot(template):
    nothing = ROW | {"name": "none", "support": 0, "interval": (0.0, 0.0)}
    html = page(template, {"title": "t", "rows": [nothing]}, None)
    cells = re.findall(r"<td>([^<]*)</td>", html)
    assert cells == ["–", "–", "–", "–", "0", "7"]
    assert html.count('<i class="dot') == 0


def test_it_loads_nothing_and_runs_one_script_that_it_names_by_hash(template):
    html = page(template, {"title": "t", "rows": []}, None)
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}'" in policy
    assert not re.search(r"//\w+\.|url\(|@import|<(img|iframe|object)\b| src=", html)
    assert re.findall(r'href="(?!#)([^"]*)"', html) == ["data:,"]


def test_the_same_bytes_twice_and_a_name_that_is_not_given_is_an_error(template):
    assert page(template, {"title": "t", "rows": []}, None) == page(
        template, {"title": "t", "rows": []}, None
    )
    with pytest.raises(UndefinedError, match="'rows' is undefined"):
        page(template, {"title": "t"}, None)
