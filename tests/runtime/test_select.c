/* SPDX-License-Identifier: MIT
 * Selection of a device by name, index or rank. */
#include "runtime/select.h"
#include "support/sentences.h"

#include <criterion/criterion.h>
#include <string.h>

#define USABLE(n, d, t)                                                                             \
    {                                                                                               \
        .name = n, .driver = d, .type = VK_PHYSICAL_DEVICE_TYPE_##t, .level = DMATTN_LEVEL_PORTABLE \
    }
static const dmattn_device_info infos[] = {
    USABLE("llvmpipe (LLVM 15.0.6, 256 bits)", "llvmpipe Mesa 22.3.6", CPU),
    {.name = "Old Card 9000",
     .driver = "ancient",
     .type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
     .unusable = "its driver is too old"},
    USABLE("Intel(R) Graphics", "Intel open-source Mesa driver", INTEGRATED_GPU),
    USABLE("Card A", "radv Mesa", DISCRETE_GPU),
    USABLE("Card B", "radv Mesa", DISCRETE_GPU),
    USABLE("SwiftShader", "SwiftShader driver", CPU),
};
#define COUNT (sizeof infos / sizeof *infos)

/* The index, or -1 and a part of the message. */
typedef struct selection {
    const char *selector;
    int index;
    const char *message;
} selection;

static const selection selections[] = {
    {NULL, 3, NULL},
    {"best", 3, NULL},
    {"BEST", 3, NULL},
    {"0", 0, NULL},
    {"4", 4, NULL},
    {"05", 5, NULL},
    {"llvmpipe", 0, NULL},
    {"LLVMPIPE", 0, NULL},
    {"llvm 15", 0, NULL},
    {"swift", 5, NULL},
    {"card", 3, NULL},   /* the first of several equal ones */
    {"card b", 4, NULL}, /* by name */
    {"mesa", 3, NULL},   /* by driver: the discrete GPU is the best */
    {"open-source", 2, NULL},
    {")", 2, NULL}, /* integrated before CPU */
    {"9", -1, "9"},
    {"6", -1, "6"},
    {"99999999999999999999999", -1, "99999999999999999999999"},
    {"4294967296", -1, "4294967296"}, /* not 0 */
    {"-1", -1, "-1"},
    {"1", -1, "too old"},
    {"old card", -1, "too old"},
    {"ancient", -1, "Old Card 9000"},
    {"nonsense", -1, "nonsense"},
    {"bestest", -1, "bestest"},
    {"a\nb\x7f", -1, "'a?b?'"}, /* a message is one line */
};

Test(select, device)
{
    for (size_t i = 0; i < sizeof selections / sizeof *selections; i++) {
        const selection *want = &selections[i];
        const char *selector = want->selector ? want->selector : "NULL";
        uint32_t index = 77;
        sentences s = {0};
        dmattn_status status =
            dmattn_select_device(infos, COUNT, want->selector, &index, &(messenger){sentences_keep, &s});
        if (want->index >= 0) {
            cr_expect_eq(status, DMATTN_SUCCESS, "%s: %s", selector, s.text);
            cr_expect_eq(index, (uint32_t)want->index, "%s: %u", selector, index);
            cr_expect_eq(s.count, 0);
        } else {
            cr_expect_eq(status, DMATTN_ERROR_INVALID, "%s", selector);
            cr_expect(s.count == 1 && strstr(s.text, want->message), "%s: %s", selector, s.text);
        }
    }
}

Test(select, no_device)
{
    uint32_t index;
    sentences s = {0};
    cr_expect_eq(dmattn_select_device(NULL, 0, NULL, &index, &(messenger){sentences_keep, &s}), DMATTN_ERROR_INVALID);
    cr_expect(s.count == 1 && strstr(s.text, "no Vulkan device"), "%s", s.text);
    s.count = 0;
    cr_expect_eq(dmattn_select_device(infos + 1, 1, NULL, &index, &(messenger){sentences_keep, &s}),
                 DMATTN_ERROR_INVALID);
    cr_expect(s.count == 1 && strstr(s.text, "too old"), "%s", s.text);
}
