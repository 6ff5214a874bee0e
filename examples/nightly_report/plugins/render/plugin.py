"""Makes a page with a chart for each table, and writes it to a file if one is named."""

from html import escape
from pathlib import Path

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #17212e; }}
svg {{ width: 100%; height: auto; }} rect {{ fill: #0f766e; }} text {{ font-size: 13px; fill: #17212e; }}
td:last-child {{ text-align: right; padding-left: 2rem; }}
</style>
<h1>{title}</h1>
<p>{note}</p>
{charts}
{refused}
</html>
"""
LEFT, BAR, WIDTH = 90, 26, 720


class Render:
    def execute(self, args):
        page = PAGE.format(
            title=escape(args["title"]),
            note=escape(args["note"]),
            charts="\n".join(self.chart(chart) for chart in args["charts"]),
            refused=self.table(args["refused"]),
        )
        if "file" in args:
            Path(args["file"]).write_text(page, encoding="utf-8")
        return {"page": page}

    def chart(self, chart):
        groups = chart["groups"]
        most = max((group["amount"] for group in groups), default=0) or 1
        bars = "".join(self.bar(place, group, most) for place, group in enumerate(groups))
        heading = escape(chart["heading"])
        size = f"0 0 {WIDTH} {BAR * len(groups)}"
        return f'<h2>{heading}</h2>\n<svg role="img" aria-label="{heading}" viewBox="{size}">{bars}</svg>'

    def bar(self, place, group, most):
        top, length = place * BAR, (WIDTH - LEFT - 110) * group["amount"] / most
        told = f"{group['amount']:,.2f} ({group['count']})"
        return (
            f'<text x="0" y="{top + 17}">{escape(group["name"])}</text>'
            f'<rect x="{LEFT}" y="{top + 4}" width="{length:.1f}" height="{BAR - 8}" rx="3"/>'
            f'<text x="{LEFT + length + 8:.1f}" y="{top + 17}">{told}</text>'
        )

    def table(self, refused):
        if not refused:
            return ""
        rows = "".join(f"<tr><td>{escape(row['reason'])}<td>{row['count']}" for row in refused)
        return f"<h2>Not counted</h2>\n<table>{rows}</table>"
