/* SPDX-License-Identifier: MIT */
#include "lock.h"

#include "memory.h"

#ifdef _WIN32

#include <windows.h>

struct lock {
    SRWLOCK mutex;
    CONDITION_VARIABLE changed;
};

lock *dmattn_lock_create(const VkAllocationCallbacks *allocator)
{
    lock *l = dmattn_host_allocate(allocator, sizeof *l);
    if (l) {
        InitializeSRWLock(&l->mutex);
        InitializeConditionVariable(&l->changed);
    }
    return l;
}

void dmattn_lock_destroy(const VkAllocationCallbacks *allocator, lock *l)
{
    dmattn_host_free(allocator, l); /* there is nothing else to destroy */
}

void dmattn_lock_take(lock *l)
{
    AcquireSRWLockExclusive(&l->mutex);
}

void dmattn_lock_give(lock *l)
{
    ReleaseSRWLockExclusive(&l->mutex);
}

void dmattn_lock_wait(lock *l)
{
    SleepConditionVariableSRW(&l->changed, &l->mutex, INFINITE, 0);
}

void dmattn_lock_report(lock *l)
{
    WakeAllConditionVariable(&l->changed);
}

#else

#include <pthread.h>

struct lock {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

lock *dmattn_lock_create(const VkAllocationCallbacks *allocator)
{
    lock *l = dmattn_host_allocate(allocator, sizeof *l);
    if (!l)
        return NULL;
    const int failed = pthread_mutex_init(&l->mutex, NULL);
    if (!failed && !pthread_cond_init(&l->changed, NULL))
        return l;
    if (!failed)
        pthread_mutex_destroy(&l->mutex);
    dmattn_host_free(allocator, l);
    return NULL;
}

void dmattn_lock_destroy(const VkAllocationCallbacks *allocator, lock *l)
{
    if (!l)
        return;
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->mutex);
    dmattn_host_free(allocator, l);
}

void dmattn_lock_take(lock *l)
{
    pthread_mutex_lock(&l->mutex);
}

void dmattn_lock_give(lock *l)
{
    pthread_mutex_unlock(&l->mutex);
}

void dmattn_lock_wait(lock *l)
{
    pthread_cond_wait(&l->changed, &l->mutex);
}

void dmattn_lock_report(lock *l)
{
    pthread_cond_broadcast(&l->changed);
}

#endif
