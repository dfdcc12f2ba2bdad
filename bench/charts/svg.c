/* SPDX-License-Identifier: MIT */
#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Eight colours that are distinct for any kind of colour vision; series also differ in their markers. */
const char svg_style[] =
    ":root{--page:#fff;--ink:#1b1f24;--mute:#5d6670;--grid:#e4e7eb;--roof:#8a929c}\n"
    ".c0{color:#0072b2}.c1{color:#d55e00}.c2{color:#009e73}.c3{color:#a4509a}\n"
    ".c4{color:#3b3b3b}.c5{color:#a37c00}.c6{color:#2a9fd6}.c7{color:#882255}\n"
    "@media(prefers-color-scheme:dark){\n"
    ":root{--page:#14181d;--ink:#e6e9ed;--mute:#9aa4af;--grid:#2a3038;--roof:#7d8793}\n"
    ".c0{color:#56b4e9}.c1{color:#f28a3c}.c2{color:#2ec4a0}.c3{color:#e39ad0}\n"
    ".c4{color:#f2f2f2}.c5{color:#e6c229}.c6{color:#a8dcf7}.c7{color:#d46a92}}\n"
    "svg text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:var(--ink)}\n"
    "svg .mute{fill:var(--mute)}svg .power{font-size:10px}svg .title{font-size:16px;font-weight:600}\n"
    "svg .end{text-anchor:end}svg .middle{text-anchor:middle}\n"
    "svg .grid{stroke:var(--grid);fill:none}svg .axis{stroke:var(--mute);fill:none}\n"
    "svg .roof{stroke:var(--roof);fill:none;stroke-width:1.5;stroke-dasharray:6 4}\n"
    "svg .g1{stroke-dasharray:2 3}svg .g2{stroke-dasharray:12 3}svg .g3{stroke-dasharray:9 3 2 3}\n"
    "svg .star{stroke:var(--ink);stroke-width:1.3;fill:none}\n"
    "svg .line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}\n"
    "svg .mark{fill:currentColor;stroke:var(--page);stroke-width:1}\n"
    "svg .peer .line{stroke-dasharray:5 3}svg .peer .mark{fill:var(--page);stroke:currentColor;stroke-width:2}\n";

enum { COLOURS = 8, MARKS = 6, DASHES = 4 };

/* ---- text ----------------------------------------------------------------------------------------------------- */

void xml_text(FILE *stream, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&': fputs("&amp;", stream); break;
        case '<': fputs("&lt;", stream); break;
        case '>': fputs("&gt;", stream); break;
        case '"': fputs("&quot;", stream); break;
        default: putc(*text, stream);
        }
}

static void text_at(FILE *stream, double x, double y, const char *classes, const char *text)
{
    fprintf(stream, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, classes);
    xml_text(stream, text);
    fputs("</text>\n", stream);
}

/* ---- parts ---------------------------------------------------------------------------------------------------- */

static void draw_axes(FILE *stream, const chart *c, const layout *l)
{
    double ticks[AXIS_TICKS];
    char text[AXIS_TEXT_SIZE];
    size_t count = axis_ticks(&l->x, l->narrow ? 6 : 9, ticks);
    for (size_t i = 0; i < count; i++) {
        const double x = axis_place(&l->x, ticks[i]);
        axis_text(&l->x, ticks[i], text);
        fprintf(stream, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>\n", x, l->y.from, l->y.to);
        text_at(stream, x, l->y.from + 18, "middle", text);
    }
    count = axis_ticks(&l->y, l->narrow ? 8 : 10, ticks);
    for (size_t i = 0; i < count; i++) {
        const double y = axis_place(&l->y, ticks[i]);
        axis_text(&l->y, ticks[i], text);
        fprintf(stream, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>\n", l->x.from, y, l->x.to);
        text_at(stream, l->x.from - 6, y + 4, "end", text);
    }
    fprintf(stream, "<path class=\"axis\" d=\"M%.1f %.1fV%.1fH%.1f\"/>\n", l->x.from, l->y.to, l->y.from, l->x.to);
    text_at(stream, l->narrow ? 8 : 14, l->y.to - 12, "mute", chart_kinds[c->id].y_label);
    text_at(stream, (l->x.from + l->x.to) / 2, l->y.from + 38, "mute middle", chart_kinds[c->id].x_label);
}

/* The part of the guide within the axes; false if there is none. */
static bool clip_guide(const chart_guide *g, const layout *l, double *from, double *to)
{
    *from = fmax(g->from, l->x.least);
    *to = fmin(g->to, l->x.most);
    if (g->exponent != 0) {
        const double a = pow(l->y.least / g->factor, 1 / g->exponent), b = pow(l->y.most / g->factor, 1 / g->exponent);
        *from = fmax(*from, fmin(a, b));
        *to = fmin(*to, fmax(a, b));
    }
    return *from < *to;
}

static void draw_guides(FILE *stream, const chart *c, const layout *l)
{
    for (size_t i = 0; i < c->guide_count; i++) {
        const chart_guide *g = &c->guides[i];
        double from, to;
        if (clip_guide(g, l, &from, &to))
            fprintf(stream, "<path class=\"roof g%zu\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", i % DASHES,
                    axis_place(&l->x, from), axis_place(&l->y, g->factor * pow(from, g->exponent)),
                    axis_place(&l->x, to), axis_place(&l->y, g->factor * pow(to, g->exponent)));
    }
}

static void draw_mark(FILE *stream, size_t series, double x, double y)
{
    fprintf(stream, "<path class=\"mark\" d=\"M%.1f %.1f", x, y);
    switch (series % MARKS) {
    case 0: fputs("m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z", stream); break;
    case 1: fputs("m-4-4h8v8h-8z", stream); break;
    case 2: fputs("m0-5.5l5.2 9.3h-10.4z", stream); break;
    case 3: fputs("m0-5.8l5.8 5.8l-5.8 5.8l-5.8-5.8z", stream); break;
    case 4: fputs("m0 5.5l5.2-9.3h-10.4z", stream); break;
    default: fputs("m-1.8-5.4h3.6v3.6h3.6v3.6h-3.6v3.6h-3.6v-3.6h-3.6v-3.6h3.6z", stream); break;
    }
    fputs("\"", stream);
}

/* The mark of a throttled point, beside it. */
static void draw_star(FILE *stream, double x, double y)
{
    fprintf(stream, "<path class=\"star\" d=\"M%.1f %.1fv7m-3-5.3l6 3.6m0-3.6l-6 3.6\"/>\n", x + 8, y - 10);
}

static void draw_series(FILE *stream, const chart *c, size_t index, const layout *l)
{
    const chart_series *s = &c->series[index];
    fprintf(stream, "<g class=\"c%zu%s\">\n", index % COLOURS, *s->of[0]->peer ? " peer" : "");
    if (chart_kinds[c->id].lines && s->count > 1) {
        fputs("<path class=\"line\" d=\"", stream);
        for (size_t i = 0, next; i < s->count;
             i = next) { /* points with equal x: the line passes through the middle one */
            for (next = i + 1; next < s->count && s->points[next].x == s->points[i].x;)
                next++;
            fprintf(stream, "%c%.1f %.1f", i ? 'L' : 'M', axis_place(&l->x, s->points[i].x),
                    axis_place(&l->y, s->points[(i + next - 1) / 2].y));
        }
        fputs("\"/>\n", stream);
    }
    for (size_t i = 0; i < s->count; i++) {
        const case_result *r = s->of[i];
        draw_mark(stream, index, axis_place(&l->x, s->points[i].x), axis_place(&l->y, s->points[i].y));
        fputs("><title>", stream);
        xml_text(stream, s->label);
        fputs(": ", stream);
        xml_text(stream, r->identity);
        fprintf(stream, ", %.4g ms", r->median_ms);
        if (r->tflops > 0)
            fprintf(stream, ", %.4g TFLOP/s", r->tflops);
        fprintf(stream, "%s</title></path>\n", r->throttled ? ", throttled" : "");
        if (r->throttled)
            draw_star(stream, axis_place(&l->x, s->points[i].x), axis_place(&l->y, s->points[i].y));
    }
    fputs("</g>\n", stream);
}

static void draw_label(FILE *stream, const chart_series *s, const layout *l, double y)
{
    const double x = l->legend_x + 16;
    const size_t length = strlen(s->label);
    size_t start = 0, end = 0, lines = 0;
    fputs("<text>", stream);
    while (start < length) {
        end = layout_line_end(s->label, start, l->line_length);
        char line[sizeof s->label];
        snprintf(line, sizeof line, "%.*s", (int)(end - start), s->label + start);
        fprintf(stream, "<tspan x=\"%.1f\" y=\"%.1f\">", x, y + 4 + (double)(lines++ * LAYOUT_LINE));
        xml_text(stream, line);
        fputs("</tspan>", stream);
        start = end + (s->label[end] == ' ');
    }
    if (*s->note && layout_lines(s, l->line_length) > lines)
        fprintf(stream, "<tspan x=\"%.1f\" y=\"%.1f\"></tspan>", x, y + 4 + (double)(lines * LAYOUT_LINE));
    if (*s->note)
        fprintf(stream, " <tspan class=\"mute\">N<tspan dy=\"-4\" class=\"power\">%s</tspan></tspan>", s->note);
    fputs("</text>\n", stream);
}

/* Guides and the mark of throttled points. They are explained here instead of beside the lines, where text would hide
 * points. */
static void draw_key(FILE *stream, const chart *c, const layout *l)
{
    for (size_t i = 0; i < l->key_rows; i++) {
        const double y = l->key_y + (double)(i * LAYOUT_LINE);
        if (i < c->guide_count)
            fprintf(stream, "<path class=\"roof g%zu\" d=\"M%.1f %.1fh22\"/>", i % DASHES, l->legend_x - 10, y);
        else
            draw_star(stream, l->legend_x - 7, y + 6);
        text_at(stream, l->legend_x + 16, y + 4, "mute",
                i < c->guide_count ? c->guides[i].label : layout_throttled_label);
    }
}

/* Labels next to the ends of the lines, or in a list. */
static void draw_legend(FILE *stream, const chart *c, const layout *l)
{
    double places[LAYOUT_SERIES], next = l->legend_y;
    for (size_t i = 0; i < l->count; i++) {
        const chart_series *s = &c->series[l->order[i]];
        places[i] = chart_kinds[c->id].lines && !l->narrow ? axis_place(&l->y, layout_last_y(s)) : next;
        next += (double)(layout_lines(s, l->line_length) * LAYOUT_LINE);
    }
    if (!l->narrow)
        spread_places(places, l->count, LAYOUT_LINE, l->y.to + 4,
                      l->key_rows ? l->key_y - LAYOUT_LINE - 6 : l->y.from - 4);
    for (size_t i = 0; i < l->count; i++) {
        const size_t index = l->order[i];
        const chart_series *s = &c->series[index];
        fprintf(stream, "<g class=\"c%zu%s\">", index % COLOURS, *s->of[0]->peer ? " peer" : "");
        if (chart_kinds[c->id].lines)
            fprintf(stream, "<path class=\"line\" d=\"M%.1f %.1fh20\"/>", l->legend_x - 10, places[i]);
        draw_mark(stream, index, l->legend_x, places[i]);
        fputs("/></g>", stream);
        draw_label(stream, s, l, places[i]);
    }
    draw_key(stream, c, l);
}

void svg_write(FILE *stream, const chart *c, svg_use use)
{
    const layout l = layout_make(c, use);
    fprintf(stream, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"%s\" viewBox=\"0 0 %.0f %.0f\" role=\"img\"",
            l.narrow ? "narrow" : "wide", l.width, l.height);
    if (use == SVG_FILE)
        fprintf(stream, " width=\"%.0f\" height=\"%.0f\"", l.width, l.height);
    else if (use == SVG_WIDE) /* so that text has the same size in all charts of a page */
        fprintf(stream, " style=\"max-width:%.0fpx\"", 1.2 * l.width);
    fputs(">\n<title>", stream);
    xml_text(stream, c->title);
    fputs("</title>\n", stream);
    if (use == SVG_FILE) {
        fprintf(stream, "<style>\n%s</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"var(--page)\"/>\n",
                svg_style);
        text_at(stream, 14, 26, "title", c->title);
        text_at(stream, 14, 46, "mute", c->device);
    }
    draw_axes(stream, c, &l);
    draw_guides(stream, c, &l);
    for (size_t i = 0; i < l.count; i++)
        draw_series(stream, c, i, &l);
    draw_legend(stream, c, &l);
    fputs("</svg>\n", stream);
}
