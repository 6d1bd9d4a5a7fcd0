"""Whether a page is one that anybody can use, in Chromium."""

from pathlib import Path

from tests.stages.report.chromium import Tab

# Of text on what is behind it, by WCAG 2: at least 4.5 is asked for.
CONTRAST = """
(() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parse(color).map((c) => c / 255)
      .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (parse(color).length === 3) return color;
    }
  };
  const speaks = (element) =>
    [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const found = [...document.querySelectorAll("body *")].filter(speaks).map((element) => {
    const [a, b] = [getComputedStyle(element).color, behind(element)].map(light);
    const name = element.getAttribute("class") || element.tagName;
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), name];
  });
  return found.reduce((least, each) => (each[0] < least[0] ? each : least));
})()
"""


def assert_fine(tab: Tab, path: Path, width: int, dark: bool) -> None:
    """It asks for nothing, fits the width, obeys the colour scheme and has enough contrast."""
    tab.open(path, width, dark)
    asked = [
        event["params"]["request"]["url"]
        for event in tab.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert asked == [path.as_uri()]
    told = [e for e in tab.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]
    assert told == []
    wide = "(({scrollWidth, clientWidth}) => scrollWidth - clientWidth)(document.documentElement)"
    assert tab.value(wide) == 0
    assert tab.value("getComputedStyle(document.body).backgroundColor") == (
        "rgb(15, 19, 24)" if dark else "rgb(255, 255, 255)"
    )
    contrast, where = tab.value(CONTRAST)
    assert contrast >= 4.5, where
