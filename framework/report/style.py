"""The look of pages: colours for light and dark, each readable on its ground, and the stylesheet."""

from __future__ import annotations

from collections.abc import Mapping

#: Name of a colour and its value. Text has a contrast of 4.5 or more with its ground, curves one of 3 (WCAG 2.2).
LIGHT = {
    "ground": "#f6f7f9",
    "surface": "#ffffff",
    "text": "#1d2026",
    "muted": "#5a6069",
    "line": "#d9dce1",
    "link": "#1a4fc4",
    "good": "#0b6b4d",
    "good-ground": "#e3f4ec",
    "fair": "#7a4b00",
    "fair-ground": "#fdf0d5",
    "bad": "#9e1c00",
    "bad-ground": "#fde8e4",
}
DARK = {
    "ground": "#121418",
    "surface": "#1b1e24",
    "text": "#e8eaed",
    "muted": "#a3abb8",
    "line": "#343a44",
    "link": "#8ab0ff",
    "good": "#74e0ae",
    "good-ground": "#12352a",
    "fair": "#f3cf73",
    "fair-ground": "#3a2c0c",
    "bad": "#ff9d85",
    "bad-ground": "#3f1a12",
}
#: Colours of curves, on light and on dark: they differ also for those who see no red, no green, or no blue.
LIGHT_CURVES = ("#1a4fc4", "#cc7400", "#0a9a70", "#9e1c00", "#943293", "#43434c")
DARK_CURVES = ("#5b8def", "#f0cd48", "#55e0a0", "#d96a2b", "#c074a6", "#e2ecf8")

_RULES = """
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--text);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",sans-serif;overflow-wrap:anywhere}
header,main,footer{max-width:90rem;margin:0 auto;padding:0 1rem}
header{padding-top:1.25rem}
footer{padding-top:.5rem;padding-bottom:2rem;color:var(--muted);font-size:.875rem}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 .5rem}
h2{font-size:1.2rem;line-height:1.3;margin:2rem 0 .75rem}
h3{font-size:1rem;margin:1.25rem 0 .5rem}
p{margin:.5rem 0;max-width:75ch}
a{color:var(--link)}
code,pre{font:.875em/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{margin:0;padding:.75rem;background:var(--surface);border:1px solid var(--line);border-radius:.5rem;
white-space:pre-wrap}
.muted,small{color:var(--muted);font-size:.875rem}
.chip{display:inline-block;padding:.1rem .6rem;border-radius:1rem;font-size:.875rem;font-weight:600;
background:var(--line);color:var(--text)}
.good{color:var(--good);background:var(--good-ground)}
.fair{color:var(--fair);background:var(--fair-ground)}
.bad{color:var(--bad);background:var(--bad-ground)}
mark{color:var(--fair);background:var(--fair-ground);padding:0 .2rem;border-radius:.2rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,9.5rem),1fr));gap:.5rem;margin:1rem 0}
.tiles>div,.card,.facts{background:var(--surface);border:1px solid var(--line);border-radius:.5rem;padding:.75rem}
.tiles>div{display:flex;flex-direction:column-reverse;justify-content:flex-end}
.tiles dt{color:var(--muted);font-size:.875rem}
.tiles dd{margin:0;font-size:1.35rem;line-height:1.25;font-weight:600;font-variant-numeric:tabular-nums}
.tiles small{display:block;font-weight:400}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr));gap:.75rem}
.grid.large{grid-template-columns:repeat(auto-fill,minmax(min(100%,32rem),1fr))}
time{white-space:nowrap}
figure{margin:0;min-width:0}
figcaption{font-weight:600}
figcaption small{font-weight:400}
img,video{max-width:100%;height:auto;border-radius:.25rem;display:block}
.facts{display:grid;grid-template-columns:minmax(6rem,max-content) minmax(0,1fr);gap:.25rem 1rem;margin:0}
.facts dt{color:var(--muted)}
.facts dd{margin:0}
.scroll{overflow-x:auto;background:var(--surface);border:1px solid var(--line);border-radius:.5rem;margin:.5rem 0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.9375rem}
caption{text-align:left;padding:.5rem .75rem;color:var(--muted);font-size:.875rem}
th,td{padding:.35rem .75rem;text-align:left;vertical-align:top;border-top:1px solid var(--line);
overflow-wrap:break-word}
thead th{border-top:0;color:var(--muted);font-size:.875rem;font-weight:600}
th.number,td.number{text-align:right;white-space:nowrap}
tbody th{font-weight:500}
details{margin:.5rem 0}
summary{cursor:pointer;padding:.25rem 0;color:var(--link)}
ul.rows{list-style:none;margin:0;padding:0}
ul.rows>li{padding:.3rem 0;border-top:1px solid var(--line)}
ul.rows>li:first-child{border-top:0}
.chart svg{display:block;width:100%;height:auto;margin-top:.25rem}
.chart text{font-size:12px;fill:var(--muted);font-variant-numeric:tabular-nums}
.chart .rule{stroke:var(--line);stroke-width:1;vector-effect:non-scaling-stroke}
.chart .curve{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round;vector-effect:non-scaling-stroke}
.chart .bar{stroke-width:2;vector-effect:non-scaling-stroke}
.chart .band{opacity:.2}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.1rem 1rem;margin:.25rem 0 0;padding:0;font-size:.875rem}
.legend svg{display:inline-block;width:1.75rem;height:.75rem;margin:0 .4rem 0 0;vertical-align:middle}
@media (min-width:60rem){.large .chart text{font-size:9px}}
@media (max-width:30rem){.facts{grid-template-columns:minmax(0,1fr)}.facts dd{margin-bottom:.4rem}
th,td{padding:.35rem .5rem}}
@media print{body{background:none}.card,.tiles>div{break-inside:avoid}}
"""


def stylesheet() -> str:
    """All rules of a page, for light and dark as the reader's system has it."""
    light, dark = _variables(LIGHT, LIGHT_CURVES), _variables(DARK, DARK_CURVES)
    curves = "".join(
        f".c{index} .curve,.c{index} .bar{{stroke:var(--c{index})}}"
        f".c{index} .dot,.c{index} .band{{fill:var(--c{index})}}\n"
        for index in range(len(LIGHT_CURVES))
    )
    return f":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}{_RULES}{curves}"


def _variables(colours: Mapping[str, str], curves: tuple[str, ...]) -> str:
    numbered = {f"c{index}": colour for index, colour in enumerate(curves)}
    return "".join(f"--{name}:{colour};" for name, colour in {**colours, **numbered}.items())
