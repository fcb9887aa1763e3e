"""A treemap as SVG, squarified (Bruls, Huizing, van Wijk): the area of each rectangle is its bytes."""

from html import escape

WIDTH, HEIGHT, FONT = 960, 540, 12
OTHER, GREY = "#d4d4d4", "#777777"  # grey is legible on a light page and on a dark one
COLOURS = {
    "CPython": "#4c78a8",
    "OpenSSL": "#f58518",
    "bytecode": "#54a24b",
    "bridge": "#e45756",
    "musl": "#b279a2",
    "mimalloc": "#9d755d",
    "zlib": "#bab0ac",
    "Nuitka": "#72b7b2",
}

Box = tuple[float, float, float, float]


def worst(row: list[float], side: float) -> float:
    """Return the worst ratio of sides in a row of areas laid along a side."""
    total = sum(row)
    return max(side * side * max(row) / total**2, total**2 / (side * side * min(row)))


def squarify(areas: list[float], box: Box) -> list[Box]:
    """Return a box for each area (largest first) that together fill the given box."""
    placed: list[Box] = []
    x, y, width, height = box
    rest = list(areas)
    while rest:
        side = min(width, height)
        row = [rest.pop(0)]
        while rest and worst([*row, rest[0]], side) <= worst(row, side):
            row.append(rest.pop(0))
        depth, at = sum(row) / side, 0.0
        for area in row:
            length = area / depth
            placed.append((x, y + at, depth, length) if width >= height else (x + at, y, length, depth))
            at += length
        x, y, width, height = (x + depth, y, width - depth, height) if width >= height else (x, y + depth, width, height - depth)
    return placed


def fitting(name: str, size: int, width: float, height: float) -> list[str]:
    """Return the lines of a label that a box has room for: a name too wide for it is broken at its colon, or left out with its number."""
    room = (width - 6) / (FONT * 0.56)
    lines = [name] if len(name) <= room else name.split(": ")
    lines.append(f"{size:,}")
    return lines if max(map(len, lines)) <= room and len(lines) * FONT * 1.3 + 4 <= height else []


def svg(title: str, values: dict[str, int]) -> str:
    """Return the picture of the values."""
    items = sorted(((size, name) for name, size in values.items() if size > 0), reverse=True)
    scale = WIDTH * HEIGHT / sum(size for size, _ in items)
    boxes = squarify([size * scale for size, _ in items], (0, 0, WIDTH, HEIGHT))
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + 24}" font-family="sans-serif" font-size="{FONT}">']
    lines.append(f'<text x="4" y="{HEIGHT + 17}" fill="{GREY}">{escape(title)}</text>')
    for (size, name), (x, y, width, height) in zip(items, boxes, strict=True):
        colour = next((colour for key, colour in COLOURS.items() if name.startswith(key)), OTHER)
        label = f"{name} {size:,}"
        shape = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}" stroke="#fff"'
        lines.append(f"<g><title>{escape(label)} bytes</title><rect {shape}/>")
        for number, text in enumerate(fitting(name, size, width, height)):
            ink = GREY if colour == OTHER else "#fff"
            lines.append(f'<text x="{x + 4:.1f}" y="{y + (number + 1) * FONT * 1.3:.1f}" fill="{ink}">{escape(text)}</text>')
        lines.append("</g>")
    return "\n".join([*lines, "</svg>"]) + "\n"
