# SPDX-License-Identifier: MIT
"""Writes results into a page of Markdown, between <!-- NAME --> and <!-- end of NAME -->, and draws charts as SVG."""
import pathlib
from xml.sax.saxutils import escape

# The colours and marks of vkbench's charts (bench/charts/svg.c).
STYLE = """:root{--page:#fff;--ink:#1b1f24;--mute:#5d6670;--grid:#e4e7eb}
.c0{color:#0072b2}.c1{color:#d55e00}.c2{color:#009e73}.c3{color:#a4509a}
@media(prefers-color-scheme:dark){:root{--page:#14181d;--ink:#e6e9ed;--mute:#9aa4af;--grid:#2a3038}
.c0{color:#56b4e9}.c1{color:#f28a3c}.c2{color:#2ec4a0}.c3{color:#e39ad0}}
text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:var(--ink)}
.mute{fill:var(--mute)}.title{font-size:16px;font-weight:600}.end{text-anchor:end}.middle{text-anchor:middle}
.grid{stroke:var(--grid);fill:none}.axis{stroke:var(--mute);fill:none}
.line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}.range{stroke:currentColor;fill:none}
.mark{fill:currentColor;stroke:var(--page);stroke-width:1}"""
MARKS = ("m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z", "m-4-4h8v8h-8z", "m0-5.5l5.2 9.3h-10.4z",
         "m0-5.8l5.8 5.8l-5.8 5.8l-5.8-5.8z")
WIDTH, HEIGHT, GAP, TOP = 280, 220, 60, 90  # of a panel


# ---- text ------------------------------------------------------------------------------------------------------------

def percent(rate):
    return "%.1f" % (100 * rate)


def mean(values):
    return sum(values) / len(values)


def cell(run):
    if run is None:
        return ""
    rates = run["accuracy"]
    return "%s (%s–%s)" % (percent(mean(rates)), percent(min(rates)), percent(max(rates)))


def table(head, rows):
    lines = ["| %s |" % " | ".join(head), "|%s" % ("--:|" * len(head))]
    return "\n".join(lines + ["| %s |" % " | ".join(str(value) for value in row) for row in rows])


def verdict(pairs, name):
    """Whether one attention beats the window, for pairs of runs at equal w."""
    if not pairs:
        return None
    better = sum(min(ours["accuracy"]) > max(window["accuracy"]) for ours, window in pairs)
    worse = sum(max(ours["accuracy"]) < min(window["accuracy"]) for ours, window in pairs)
    return ("%s: the worst seed is better than the window's best one in %d of %d settings, the best one worse than the "
            "window's worst one in %d." % (name[0].upper() + name[1:], better, len(pairs), worse))


def machine_line(runs):
    return "; ".join(sorted({run["machine"] for run in runs}))


def put(page, name, parts, chart_title=None, drawn=True):
    """Replaces the part of the page between the two comments. If `drawn`, the chart of that name comes last."""
    path = pathlib.Path(page)
    text = path.read_text(encoding="utf-8")
    begin, end = "<!-- %s -->\n" % name, "<!-- end of %s -->" % name
    if begin not in text or end not in text:
        raise SystemExit("%s has no part %s%s" % (page, begin, end))
    before, after = text.split(begin)[0], text.split(end)[1]
    body = "\n\n".join(wrap(part) for part in parts if part)
    if drawn:
        body += "\n\n![%s](charts/%s.svg)" % (chart_title or name.capitalize(), name)
    path.write_text("%s%s\n%s\n\n%s%s" % (before, begin, body, end, after), encoding="utf-8")


def wrap(part, columns=118):
    if part.startswith("|"):
        return part
    lines = [""]
    for word in part.split():
        if len(lines[-1]) + 1 + len(word) > columns:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return "\n".join(lines)


# ---- charts ----------------------------------------------------------------------------------------------------------

def text_at(x, y, text, classes=""):
    return '<text x="%.1f" y="%.1f" class="%s">%s</text>' % (x, y, classes, escape(str(text)))


def draw_panel(left, title, x_label, ticks, series, most=None):
    """`series` by name: for each tick the rates of all seeds, or None. Draws means, and ranges from worst to best. With
    `most` the values are no rates, but from 0 to `most`."""
    place_x = lambda i: left + (i + 0.5) * WIDTH / len(ticks)
    place_y = lambda value: TOP + HEIGHT * (1 - value / (most or 1))
    lines = [text_at(left, TOP - 14, title)]
    for i in range(6):
        y = TOP + HEIGHT * (1 - i / 5)
        lines += ['<path class="grid" d="M%.1f %.1fh%d"/>' % (left, y, WIDTH),
                  text_at(left - 6, y + 4, "%g" % (i * (most or 100) / 5), "end")]
    lines += [text_at(place_x(i), TOP + HEIGHT + 18, tick, "middle") for i, tick in enumerate(ticks)]
    lines += ['<path class="axis" d="M%.1f %.1fv%dh%d"/>' % (left, TOP, HEIGHT, WIDTH),
              text_at(left + WIDTH / 2, TOP + HEIGHT + 38, x_label, "mute middle")]
    for number, (name, points) in enumerate(series.items()):
        there = [(place_x(i) + 3 * (number - 1.5), rates) for i, rates in enumerate(points) if rates]
        if not there:
            continue
        path = "L".join("%.1f %.1f" % (x, place_y(mean(rates))) for x, rates in there)
        lines.append('<g class="c%d"><path class="line" d="M%s"/>' % (number, path))
        for x, rates in there:
            low, high = min(rates), max(rates)
            lines.append('<path class="range" d="M%.1f %.1fV%.1f"/>' % (x, place_y(low), place_y(high)))
            tip = "%s: %s" % (escape(name), "%.3g" % mean(rates) if most else cell({"accuracy": rates}) + " %")
            lines.append('<path class="mark" d="M%.1f %.1f%s"><title>%s</title></path>'
                         % (x, place_y(mean(rates)), MARKS[number], tip))
        lines.append("</g>")
    return lines


def chart(page, name, title, machine, panels):
    """Draws panels, the arguments of draw_panel() after `left`, into the folder charts beside the page."""
    width, height = 50 + len(panels) * (WIDTH + GAP), TOP + HEIGHT + 80
    lines = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" width="%d" height="%d">'
             % (width, height, width, height), "<title>%s</title>" % escape(title), "<style>\n%s\n</style>" % STYLE,
             '<rect width="100%" height="100%" fill="var(--page)"/>', text_at(14, 26, title, "title"),
             text_at(14, 46, machine, "mute")]
    for i, panel in enumerate(panels):
        lines += draw_panel(50 + i * (WIDTH + GAP), *panel)
    x = 50
    for number, kind in enumerate(dict.fromkeys(kind for panel in panels for kind in panel[3])):
        lines.append('<g class="c%d"><path class="mark" d="M%d %d%s"/></g>' % (number, x, height - 18, MARKS[number]))
        lines.append(text_at(x + 10, height - 14, kind))
        x += 40 + 8 * len(kind)
    folder = pathlib.Path(page).resolve().parent / "charts"
    folder.mkdir(exist_ok=True)
    (folder / (name + ".svg")).write_text("\n".join([*lines, "</svg>", ""]), encoding="utf-8")
