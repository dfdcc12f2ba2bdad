/* SPDX-License-Identifier: MIT
 * Messages to the app: one callback, one function. */
#ifndef DMATTN_MESSAGE_H
#define DMATTN_MESSAGE_H

#include <dmattn/dmattn.h>

typedef struct messenger {
    dmattn_message_fn fn; /* may be NULL */
    void *user;
} messenger;

#if defined(__MINGW32__) /* here, `printf` means Microsoft's function; CMakeLists.txt requests the standard one */
#define DMATTN_PRINTF(at, first) __attribute__((format(gnu_printf, at, first)))
#elif defined(__GNUC__)
#define DMATTN_PRINTF(at, first) __attribute__((format(printf, at, first)))
#else
#define DMATTN_PRINTF(at, first)
#endif

/* Replaces control characters, so that a text with parts from a file or from the app is one line. */
void dmattn_make_one_line(char *text);

/* Sends a message, which is one sentence on one line. `m` may be NULL. */
void dmattn_message_send(const messenger *m, dmattn_severity severity, const char *format, ...) DMATTN_PRINTF(3, 4);

/* Sends a message of severity ERROR and returns `status`: `return dmattn_fail(m, DMATTN_ERROR_INVALID, "…", …)`. */
dmattn_status dmattn_fail(const messenger *m, dmattn_status status, const char *format, ...) DMATTN_PRINTF(3, 4);

/* dmattn_fail() for a VkResult: OUT_OF_MEMORY for host or device memory, otherwise VULKAN; names the
 * call and the result. */
dmattn_status dmattn_fail_vulkan(const messenger *m, VkResult result, const char *call);

/* Returns from the calling function if a call fails. */
#define TRY(call)                       \
    do {                                \
        dmattn_status status_ = (call); \
        if (status_)                    \
            return status_;             \
    } while (0)

/* "VK_ERROR_DEVICE_LOST", …; "VkResult" for an unknown value. */
const char *dmattn_vk_result_string(VkResult result);

#endif
