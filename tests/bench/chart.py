"""The chart that the README shows: rate, CPU a message and p99 at 512 B, as bars with their figures. Legible in light and dark."""

from html import escape
from typing import Any

from tests.bench.report import BARE, median, names_of, rounds, rows_of

SIZE = 512
PANELS = (
    ("messages a second", "rate", 0, "more is better"),
    ("CPU a message, µs", "us", 0, "less is better"),
    ("p99, ms", "p99", 1, "less is better"),
)
WIDTH, MARGIN, LABEL, GAP = 960, 24, 104, 20
BAR, STEP, HEAD = 16, 21, 92
STYLE = """
  svg { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
  .card { fill: #ffffff; stroke: #d0d7de; } text { fill: #1f2328; } .dim { fill: #59636e; }
  .ours { fill: #0969da; } .ours2 { fill: #54a0f0; } .ours3 { fill: #9ccbff; } .go { fill: #8a6d3b; } .fastapi { fill: #8c959f; }
  .bare { fill: #57a773; }
  .title { font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d; } text { fill: #f0f6fc; } .dim { fill: #9198a1; }
    .ours { fill: #4493f8; } .ours2 { fill: #316dca; } .ours3 { fill: #23507f; } .go { fill: #c69026; } .fastapi { fill: #656c76; }
    .bare { fill: #3f8f5f; }
  }
"""
COLOURS = {"bridge": "ours", "bridge, binary": "ours2", "bridge, unpacked": "ours3", "Go": "go", "FastAPI": "fastapi", BARE: "bare"}


def draw(found: dict[str, Any]) -> str:
    """Return the SVG, or nothing when the grid was not measured."""
    rows = rows_of(found, "grid", size=SIZE)
    if not rows:
        return ""
    names = names_of(rows)
    groups = sorted({row["connections"] for row in rows})
    height = HEAD + len(groups) * (len(names) * STEP + 34) + MARGIN
    about = found["about"]
    title = "An SNS Notification verified, published to RabbitMQ, confirmed, answered"
    under = (
        f"Message of {SIZE} B; {about['cores']} cores shared by load, broker and bridge; medians of {rounds(found)} rounds; "
        f"{about['on']['grid']}; Python {about['Python']}, Go {about['Go'].partition(',')[0]}"
    )
    box = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-label="{title}">',
        f"<title>{title}</title><style>{STYLE}</style>",
        f'<rect class="card" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        _text(MARGIN, 30, title, "title"),
        _text(MARGIN, 50, under, "dim"),
    ]
    wide = (WIDTH - 2 * MARGIN - LABEL - 3 * GAP) / len(PANELS)
    for i, (heading, what, digits, better) in enumerate(PANELS):
        left = MARGIN + LABEL + GAP + i * (wide + GAP)
        parts.append(_text(left, 80, heading, "title") + _text(left + wide, 80, better, "dim", "end"))
        for k, connections in enumerate(groups):
            top = HEAD + k * (len(names) * STEP + 34)
            if i == 0:
                parts.append(_text(MARGIN, top + 16, "1 connection" if connections == 1 else f"{connections} connections", "dim"))
            cell = {
                name: median((row for row in rows if row["name"] == name and row["connections"] == connections), what) for name in names
            }
            parts += _bars(cell, left, top + 24, wide, digits, labelled=i == 0)
    return "\n".join([*parts, "</svg>", ""])


def _bars(cell: dict[str, float], left: float, top: float, wide: float, digits: int, labelled: bool) -> list[str]:
    """One group of bars on a scale of its own; the figure stands behind each."""
    scale = (wide - 58) / max(cell.values())
    parts = []
    for i, (name, value) in enumerate(cell.items()):
        y = top + i * STEP
        if labelled:
            parts.append(_text(left - 8, y + 12.5, name, anchor="end"))
        length = max(value * scale, 1)
        parts.append(f'<rect class="{COLOURS.get(name, "ours")}" x="{left:.1f}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>')
        parts.append(_text(left + length + 6, y + 12.5, f"{value:,.{digits}f}"))
    return parts


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}"'
        + (f' class="{kind}"' if kind else "")
        + (f' text-anchor="{anchor}"' if anchor else "")
        + f">{escape(words)}</text>"
    )
