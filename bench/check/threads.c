/* SPDX-License-Identifier: MIT */
#include "threads.h"

#ifdef _WIN32

uint32_t processor_count(void)
{
    return 1;
}

void run_in_threads(void *(*work)(void *item), void *items, size_t size, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        work((char *)items + i * size);
}

#else

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

uint32_t processor_count(void)
{
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (uint32_t)count;
}

void run_in_threads(void *(*work)(void *item), void *items, size_t size, uint32_t count)
{
    pthread_t thread[MOST_THREADS];
    bool started[MOST_THREADS];
    for (uint32_t i = 0; i < count; i++) {
        started[i] = !pthread_create(&thread[i], NULL, work, (char *)items + i * size);
        if (!started[i])
            work((char *)items + i * size);
    }
    for (uint32_t i = 0; i < count; i++)
        if (started[i])
            pthread_join(thread[i], NULL);
}

#endif
