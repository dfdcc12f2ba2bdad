/* SPDX-License-Identifier: MIT
 * vkbench's command line, one argument per line, and the cases that it selects. */
#include "fuzz.h"

#include "app/options.h"
#include "cases/case_list.h"
#include "measure/planning.h"

#include <stdlib.h>
#include <string.h>

/* More cases take too long. */
#define MOST_FUZZED 2000

static void hear(void *user, dmattn_severity severity, const char *text)
{
    (void)user;
    (void)severity;
    FUZZ_CHECK(text && *text);
}

static void check_cases(const bench_options *o, const shape_list *shapes, VkPhysicalDeviceType device)
{
    const messenger m = {hear, NULL};
    case_list list = {0};
    sweep s = o->sweep;
    if (o->suite == SUITE_NONE) {
        sweep_set_defaults(&s, device);
        if (sweep_count(&s) < MOST_FUZZED && sweep_check(&s, &m))
            case_list_add(&list, &s, o->filter, false);
    } else if (o->suite != SUITE_FULL && o->suite != SUITE_MODELS)
        suite_add_cases(o->suite, device, shapes, &s, o->filter, &list);
    for (uint32_t i = 0; i < list.count; i++) {
        char name[CASE_NAME_SIZE];
        dmattn_attention_backward_desc desc;
        case_name(&list.item[i], name);
        if (!case_has_cache(&list.item[i]))
            case_resolve(&list.item[i], &m, &desc);
    }
    case_list_destroy(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static shape_list shapes;
    char why[OPTIONS_WHY_SIZE], *arguments[64] = {"vkbench"}, *text = fuzz_text(data, size);
    int count = 1;
    if (!shapes.count)
        FUZZ_CHECK(shapes_read(NULL, &shapes, why));
    for (char *word = text, *end; word && count < 63; word = end) {
        end = strchr(word, '\n');
        if (end)
            *end++ = 0;
        arguments[count++] = word;
    }
    bench_options o;
    memset(why, 1, sizeof why);
    const bench_action action = options_parse(count, arguments, &o, why);
    if (action == ACTION_BAD)
        FUZZ_CHECK(fuzz_is_sentence(why, sizeof why));
    else if (action != ACTION_HELP && action != ACTION_VERSION && options_set_models(&o, &shapes, why)) {
        check_cases(&o, &shapes, VK_PHYSICAL_DEVICE_TYPE_CPU);
        check_cases(&o, &shapes, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
    }
    free(text);
    return 0;
}
