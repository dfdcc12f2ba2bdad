/* SPDX-License-Identifier: MIT */
#include "case_list.h"

#include "case_cache.h"

#include <stdlib.h>
#include <string.h>

static bool has(const case_list *list, const char *name)
{
    char other[CASE_NAME_SIZE];
    for (uint32_t i = 0; i < list->count; i++) {
        case_name(&list->item[i], other);
        if (!strcmp(name, other))
            return true;
    }
    return false;
}

bool case_list_add(case_list *list, const sweep *s, const char *filter, bool once)
{
    const uint64_t count = sweep_count(s);
    for (uint64_t i = 0; i < count; i++) {
        bench_case c;
        char name[CASE_NAME_SIZE];
        sweep_case(s, i, &c);
        case_name(&c, name);
        if ((filter && !strstr(name, filter)) || (once && has(list, name)))
            continue;
        if (list->count == list->room) {
            const uint32_t room = 2 * list->room + 16;
            bench_case *item = realloc(list->item, room * sizeof *item);
            if (!item)
                return false;
            list->item = item;
            list->room = room;
        }
        list->item[list->count++] = c;
    }
    return true;
}

void case_list_leave_out(case_list *list, uint64_t bytes)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < list->count; i++)
        if (case_cache_bytes(&list->item[i]) <= bytes)
            list->item[kept++] = list->item[i];
    list->left_out += list->count - kept;
    list->count = kept;
}

void case_list_destroy(case_list *list)
{
    free(list->item);
    *list = (case_list){0};
}
