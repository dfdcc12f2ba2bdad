/* SPDX-License-Identifier: MIT */
#include "layout.h"

#include <math.h>
#include <string.h>

/* The widest that a character is on average, in the fonts of svg_style at their size, so that no text is cut off. */
static const double char_width = 7.2, title_char_width = 9.6;

const char layout_throttled_label[] = "measured while the device was throttled";

static void include(double value, double *least, double *most)
{
    if (axis_takes(value)) {
        *least = fmin(*least, value);
        *most = fmax(*most, value);
    }
}

/* Sets the ends of both axes so that all points, horizontal guides and ends of guides are visible. */
static void find_ends(const chart *c, layout *l)
{
    double x[2] = {INFINITY, 0}, y[2] = {INFINITY, 0};
    for (size_t i = 0; i < l->count; i++)
        for (size_t k = 0; k < c->series[i].count; k++) {
            include(c->series[i].points[k].x, &x[0], &x[1]);
            include(c->series[i].points[k].y, &y[0], &y[1]);
        }
    for (size_t i = 0; i < c->guide_count; i++) {
        include(c->guides[i].from, &x[0], &x[1]);
        include(c->guides[i].to, &x[0], &x[1]);
        if (c->guides[i].exponent == 0)
            include(c->guides[i].factor, &y[0], &y[1]);
    }
    axis_set_ends(&l->x, x[0], x[1]);
    axis_set_ends(&l->y, y[0], y[1]);
}

double layout_last_y(const chart_series *s)
{
    return s->points[s->count - 1].y;
}

/* Orders the legend by the right ends of the lines, so that each label is next to its line. */
static void order_legend(const chart *c, layout *l)
{
    for (size_t i = 0; i < l->count; i++) {
        size_t at = i;
        for (; chart_kinds[c->id].lines && at
               && layout_last_y(&c->series[l->order[at - 1]]) < layout_last_y(&c->series[i]);
             at--)
            l->order[at] = l->order[at - 1];
        l->order[at] = i;
    }
}

/* The position of the vertical axis, with room for its labels. */
static double place_left(const layout *l)
{
    double ticks[AXIS_TICKS];
    char text[AXIS_TEXT_SIZE];
    size_t longest = 0;
    for (size_t i = axis_ticks(&l->y, l->narrow ? 8 : 10, ticks); i-- > 0;) {
        axis_text(&l->y, ticks[i], text);
        longest = strlen(text) > longest ? strlen(text) : longest;
    }
    return fmax(l->narrow ? 36 : 48, 12 + 7.4 * (double)longest);
}

static bool has_throttled(const chart *c)
{
    for (size_t i = 0; i < c->series_count; i++)
        for (size_t k = 0; k < c->series[i].count; k++)
            if (c->series[i].of[k]->throttled)
                return true;
    return false;
}

size_t layout_line_end(const char *label, size_t start, size_t most)
{
    const size_t length = strlen(label);
    if (length - start <= most)
        return length;
    for (size_t end = start + most; end > start; end--)
        if (label[end] == ' ')
            return end;
    return start + most;
}

size_t layout_lines(const chart_series *s, size_t most)
{
    const size_t note = *s->note ? strlen(s->note) + 2 : 0;
    size_t lines = 1, start = 0, end;
    while ((end = layout_line_end(s->label, start, most)) < strlen(s->label)) {
        start = end + (s->label[end] == ' ');
        lines++;
    }
    return lines + (end - start + note > most);
}

static size_t longest_text(const chart *c, size_t count)
{
    size_t longest = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t length = strlen(c->series[i].label) + strlen(c->series[i].note) + 2;
        longest = length > longest ? length : longest;
    }
    for (size_t i = 0; i < c->guide_count; i++)
        longest = strlen(c->guides[i].label) > longest ? strlen(c->guides[i].label) : longest;
    return longest > strlen(layout_throttled_label) ? longest : strlen(layout_throttled_label);
}

layout layout_make(const chart *c, svg_use use)
{
    layout l = {.x.kind = chart_kinds[c->id].x_kind, .narrow = use == SVG_NARROW};
    const double top = use == SVG_FILE ? 84 : 28;
    l.count = c->series_count < LAYOUT_SERIES ? c->series_count : LAYOUT_SERIES;
    const size_t longest = longest_text(c, l.count);
    size_t lines = 0;
    l.line_length = l.narrow ? (size_t)((360 - 14 - 16) / char_width) : longest;
    for (size_t i = 0; i < l.count; i++)
        lines += layout_lines(&c->series[i], l.line_length);
    l.key_rows = c->guide_count + has_throttled(c);
    find_ends(c, &l);
    order_legend(c, &l);
    const double rows = (double)lines * LAYOUT_LINE, key = (double)l.key_rows * LAYOUT_LINE;
    l.x.from = place_left(&l);
    l.x.to = l.narrow ? 332 : 560;
    l.y.to = top;
    l.y.from = top + (l.narrow ? 250 : fmax(330, rows + key + 12));
    l.legend_x = l.narrow ? 14 : l.x.to + 20;
    l.legend_y = l.narrow ? l.y.from + 62 : top + 6;
    l.key_y = l.narrow ? l.legend_y + rows : l.y.from - key + 6;
    l.width = l.narrow ? 360 : l.legend_x + 24 + char_width * (double)longest;
    if (use == SVG_FILE)
        l.width = fmax(l.width, 28 + title_char_width * (double)strlen(c->title));
    l.height = l.narrow ? l.key_y + key : l.y.from + 52;
    return l;
}
