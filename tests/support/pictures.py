"""Makes docs/pictures, both pages of the sample in light and dark: `make pictures`."""

import base64
import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image  # which mlflow needs

from tests.conftest import ROOT
from tests.stages.report.chromium import NAMES, Tab, chromium

WIDTH = 1120
HEIGHTS = {"report": 1120, "comparison": 1580}
SAMPLE = "on Invented sample:"  # in the report's title; no other corpus may be in the repository
HOW = (
    "run `make run`, then the same with another train.seed in an overlay, and"
    " `python -m pipelines promote --params samples/params.yaml` after each"
)
# Two different characters look the same only if no font has them.
HAS_CHINESE = """
(() => {
  const drawn = (text) => {
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d");
    context.font = `40px ${getComputedStyle(document.body).fontFamily}`;
    context.fillText(text, 5, 60);
    return canvas.toDataURL();
  };
  return drawn("北") !== drawn("京");
})()
"""
UNFOLD = "document.querySelector('#sentences details').open = true"


def main() -> None:
    """Takes the pages from the newest promotion of the sample in this project's MLflow."""
    if not any(map(shutil.which, NAMES)):
        sys.exit(f"there is no Chromium ({', '.join(NAMES)}): install one")
    comparison = _newest()
    pages = {"report": comparison.with_name("reports") / "index.html", "comparison": comparison}
    out = ROOT / "docs" / "pictures"
    out.mkdir(exist_ok=True)
    # A process of Chromium may write there when it has already ended.
    scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with scratch as folder, chromium(Path(folder)) as tab:
        for name, page in pages.items():
            for scheme in ("light", "dark"):
                tab.open(page, WIDTH, scheme == "dark")
                if not tab.value(HAS_CHINESE):
                    sys.exit("no font has Chinese characters: install one, such as fonts-noto-cjk")
                path = out / f"{name}-{scheme}.png"
                _picture(tab, HEIGHTS[name]).save(path, optimize=True)
                print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


def _newest() -> Path:
    """The newest comparison.html of the sample in which there is a champion."""
    found = sorted(ROOT.glob("mlartifacts/*/artifacts/comparison.html"), key=_made, reverse=True)
    for path in found:
        report = path.with_name("reports") / "index.html"
        if SAMPLE in report.read_text("utf-8") and "of-changes" in path.read_text("utf-8"):
            return path
    sys.exit(f"mlartifacts has no comparison of two versions of the sample: {HOW}")


def _made(path: Path) -> float:
    return path.stat().st_mtime


def _picture(tab: Tab, height: int) -> Image.Image:
    """The top of the page in 256 colours, which is a third of the bytes."""
    tab.value(UNFOLD)
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": height, "scale": 1}
    taken = tab.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
    return Image.open(BytesIO(base64.b64decode(taken["data"]))).convert("RGB").quantize()


if __name__ == "__main__":
    main()
