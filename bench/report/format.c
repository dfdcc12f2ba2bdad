/* SPDX-License-Identifier: MIT */
#include "format.h"

#include <math.h>
#include <string.h>

number_text number(double value, int width)
{
    number_text n;
    int decimals = value > 0 ? 3 - (int)floor(log10(value)) : 1, most = width - 2;
    snprintf(n.text, sizeof n.text, "%.*f", decimals < 0 ? 0 : decimals > most ? most : decimals, value);
    return n;
}

number_text speedup_text(double speedup)
{
    number_text n;
    snprintf(n.text, sizeof n.text, "%.*fx", speedup < 9.95, speedup);
    return n;
}

void print_paragraph(FILE *stream, const char *first, const char *text)
{
    const size_t indent = strlen(first), room = PAGE_WIDTH - indent;
    fputs(first, stream);
    while (strlen(text) > room) {
        size_t length = room;
        while (length && text[length] != ' ')
            length--;
        if (!length) /* a word longer than a line */
            length = strcspn(text, " ");
        fprintf(stream, "%.*s\n%*s", (int)length, text, (int)indent, "");
        text += length;
        text += strspn(text, " ");
    }
    fprintf(stream, "%s\n", text);
}
