/* SPDX-License-Identifier: MIT
 * An example may give up at the first failure: die() prints a message and ends the program with status 1. refuse() does
 * the same with status 2, for a wrong option or file. */
#ifndef EXAMPLE_DIE_H
#define EXAMPLE_DIE_H

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);
__attribute__((noreturn, format(printf, 1, 2))) void refuse(const char *format, ...);

/* Error codes of Vulkan are negative. */
#define VK(call)                                                \
    do {                                                        \
        const VkResult result_ = (call);                        \
        if (result_ < 0)                                        \
            die("%s failed: VkResult %d", #call, (int)result_); \
    } while (0)

/* The message callback has already received the reason. */
#define DMATTN(call)                                                    \
    do {                                                                \
        const dmattn_status status_ = (call);                           \
        if (status_)                                                    \
            die("%s failed: %s", #call, dmattn_status_string(status_)); \
    } while (0)

#endif
