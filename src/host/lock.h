/* SPDX-License-Identifier: MIT
 * A lock of the operating system, with which threads can also wait for a change of what it protects. C11's own locks
 * are missing on some systems, and the thread sanitizer does not know them. */
#ifndef DMATTN_HOST_LOCK_H
#define DMATTN_HOST_LOCK_H

#include <vulkan/vulkan_core.h>

typedef struct lock lock;

/* Returns NULL if there is no memory. */
lock *dmattn_lock_create(const VkAllocationCallbacks *allocator);
void dmattn_lock_destroy(const VkAllocationCallbacks *allocator, lock *lock);

/* One thread at a time holds the lock. */
void dmattn_lock_take(lock *lock);
void dmattn_lock_give(lock *lock);

/* Gives the lock back, waits until another thread reports a change, and takes it again. It may also return without a
 * change. */
void dmattn_lock_wait(lock *lock);

/* Reports a change to all waiting threads. */
void dmattn_lock_report(lock *lock);

#endif
