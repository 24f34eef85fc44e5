"""Bars, as SVG."""

from collections.abc import Sequence
from html import escape

WIDTH = 760
NAME_WIDTH = 220
VALUE_WIDTH = 90
BAR_HEIGHT = 26
GAP = 10
TOP = 44
OURS = "#2563eb"
OTHERS = "#94a3b8"
STYLE = "text { font: 14px system-ui, sans-serif; fill: #475569 } .title { font-weight: 600 }"


def bar_chart(title: str, bars: Sequence[tuple[str, float]]) -> str:
    """A picture with a bar for each name, the longest as wide as there is room; ours are blue."""
    height = TOP + len(bars) * (BAR_HEIGHT + GAP)
    longest = max(value for _, value in bars)
    drawn = "\n".join(
        _bar(number, name, value, value / longest) for number, (name, value) in enumerate(bars)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n"
        f'<text class="title" x="0" y="20">{escape(title)}</text>\n{drawn}\n</svg>\n'
    )


def _bar(number: int, name: str, value: float, share: float) -> str:
    top = TOP + number * (BAR_HEIGHT + GAP)
    baseline = top + BAR_HEIGHT * 0.7
    length = share * (WIDTH - NAME_WIDTH - VALUE_WIDTH)
    color = OURS if name.startswith("riverrun") else OTHERS
    return (
        f'<text x="{NAME_WIDTH - 10}" y="{baseline:.1f}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{NAME_WIDTH}" y="{top}" width="{length:.1f}" height="{BAR_HEIGHT}" rx="3"'
        f' fill="{color}"/>'
        f'<text x="{NAME_WIDTH + length + 8:.1f}" y="{baseline:.1f}">{value:,.0f}</text>'
    )
