/* SPDX-License-Identifier: MIT */
#include "words.h"

#include "unicode.h"

#include <string.h>

/* ---- characters -------------------------------------------------------------------------------------------------- */

typedef enum kind { NOTHING, LETTER, NUMBER, SPACE, OTHER } kind; /* NOTHING: the end of the text */

typedef struct character {
    kind kind;
    uint32_t point;
    size_t bytes;
} character;

bool words_decode(const char *text, size_t length, uint32_t *point, size_t *bytes)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *t = (const unsigned char *)text;
    if (!length)
        return false;
    *bytes = *t < 0x80                 ? 1
             : *t >= 0xc0 && *t < 0xe0 ? 2
             : *t >= 0xe0 && *t < 0xf0 ? 3
             : *t >= 0xf0 && *t < 0xf8 ? 4
                                       : 0;
    if (!*bytes || *bytes > length)
        return false;
    *point = *bytes == 1 ? *t : *t & (0x7fu >> *bytes);
    for (size_t i = 1; i < *bytes; i++) {
        if ((t[i] & 0xc0) != 0x80)
            return false;
        *point = *point << 6 | (t[i] & 0x3f);
    }
    return *point >= least[*bytes] && *point < 0x110000 && (*point < 0xd800 || *point > 0xdfff);
}

static bool is_among(uint32_t point, const uint32_t (*ranges)[2], size_t count)
{
    size_t low = 0, high = count; /* finds the first range that does not end before the point */
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (ranges[middle][1] < point)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && ranges[low][0] <= point;
}

bool words_may_compose(uint32_t point)
{
    return is_among(point, composing, sizeof composing / sizeof *composing);
}

static bool is_space(uint32_t p)
{
    return (p >= 9 && p <= 13) || p == 0x20 || p == 0x85 || p == 0xa0 || p == 0x1680 || (p >= 0x2000 && p <= 0x200a)
           || p == 0x2028 || p == 0x2029 || p == 0x202f || p == 0x205f || p == 0x3000;
}

static character at(const char *text, size_t length, size_t i)
{
    character c = {NOTHING, 0, 0};
    if (!words_decode(text + i, length - i, &c.point, &c.bytes))
        return (character){NOTHING, 0, 0};
    c.kind = is_among(c.point, letters, sizeof letters / sizeof *letters)   ? LETTER
             : is_among(c.point, numbers, sizeof numbers / sizeof *numbers) ? NUMBER
             : is_space(c.point)                                            ? SPACE
                                                                            : OTHER;
    return c;
}

static bool is_line_end(uint32_t point)
{
    return point == '\r' || point == '\n';
}

/* The end of the run of characters of a kind that begins at `i`, at most `most` characters. */
static size_t run_end(const char *text, size_t length, size_t i, kind of, size_t most)
{
    for (character c; most && (c = at(text, length, i)).kind == of; most--)
        i += c.bytes;
    return i;
}

/* ---- patterns ---------------------------------------------------------------------------------------------------- */

#define CONTRACTIONS  "'s|'t|'re|'ve|'m|'ll|'d"
#define AFTER_NUMBERS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

bool words_find_pattern(const char *expression, word_pattern *pattern)
{
    static const struct {
        const char *expression;
        word_pattern pattern;
    } known[] = {
        {CONTRACTIONS "| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", WORDS_GPT2},
        {"(?i:" CONTRACTIONS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" AFTER_NUMBERS, WORDS_LLAMA3},
        {"(?i:" CONTRACTIONS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" AFTER_NUMBERS, WORDS_QWEN2},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].expression, expression)) {
            *pattern = known[i].pattern;
            return true;
        }
    return false;
}

/* A letter of a contraction, in lower case if case does not count. U+017F is another form of s. */
static uint32_t folded(uint32_t point, bool fold)
{
    return !fold ? point : point >= 'A' && point <= 'Z' ? point + 'a' - 'A' : point == 0x17f ? 's' : point;
}

/* The length of a contraction such as 's or 'll, or 0. */
static size_t contraction(const char *text, size_t length, bool fold)
{
    static const char ends[][3] = {"s", "t", "re", "ve", "m", "ll", "d"};
    for (size_t i = 0; *text == '\'' && i < sizeof ends / sizeof *ends; i++) {
        size_t end = 1;
        const char *e = ends[i];
        for (character c; *e && (c = at(text, length, end)).kind && folded(c.point, fold) == (unsigned char)*e; e++)
            end += c.bytes;
        if (!*e)
            return end;
    }
    return 0;
}

/* White space: up to the last line end, if `lines`. Else all of it, but without its last character if more text
 * follows, because that one belongs to the next word. Yet at least one character. */
static size_t white_space(const char *text, size_t length, bool lines)
{
    size_t end = 0, before_last = 0, after_line = 0;
    for (character c; (c = at(text, length, end)).kind == SPACE;) {
        before_last = end;
        end += c.bytes;
        after_line = is_line_end(c.point) ? end : after_line;
    }
    if (lines && after_line)
        return after_line;
    return end < length && before_last ? before_last : end;
}

/* The end of a word of letters, of a number or of other characters, after an optional space; 0 if there is none. */
static size_t after_space(const char *text, size_t length, kind of)
{
    const size_t first = *text == ' ' ? 1 : 0, end = run_end(text, length, first, of, SIZE_MAX);
    return end > first ? end : 0;
}

static size_t next_gpt2(const char *text, size_t length)
{
    static const kind kinds[] = {LETTER, NUMBER, OTHER};
    size_t end = contraction(text, length, false);
    for (int i = 0; i < 3 && !end; i++)
        end = after_space(text, length, kinds[i]);
    return end ? end : white_space(text, length, false);
}

static size_t next_llama3(const char *text, size_t length, size_t digits)
{
    size_t end = contraction(text, length, true);
    if (end)
        return end;
    const character first = at(text, length, 0);
    const bool leads = first.kind == OTHER || (first.kind == SPACE && !is_line_end(first.point));
    const size_t letters_begin = leads ? first.bytes : 0;
    end = run_end(text, length, letters_begin, LETTER, SIZE_MAX);
    if (end > letters_begin)
        return end;
    if (first.kind == NUMBER)
        return run_end(text, length, 0, NUMBER, digits);
    end = after_space(text, length, OTHER);
    if (!end)
        return white_space(text, length, true);
    while (end < length && is_line_end((unsigned char)text[end]))
        end++;
    return end;
}

static size_t next_digits(const char *text, size_t length, size_t digits)
{
    size_t end = run_end(text, length, 0, NUMBER, digits);
    if (!end)
        for (character c; (c = at(text, length, end)).kind && c.kind != NUMBER;)
            end += c.bytes;
    return end;
}

size_t words_next(word_pattern pattern, const char *text, size_t length)
{
    switch (pattern) {
    case WORDS_GPT2: return next_gpt2(text, length);
    case WORDS_LLAMA3: return next_llama3(text, length, 3);
    case WORDS_QWEN2: return next_llama3(text, length, 1);
    case WORDS_DIGITS: return next_digits(text, length, SIZE_MAX);
    default: return next_digits(text, length, 1);
    }
}
