/* SPDX-License-Identifier: MIT
 * Many threads use one context and the same plans at once, on a fake Vulkan without a device. This is for the thread
 * sanitizer, which works with neither drivers nor the processes of Criterion. Without the sanitizer, the program still
 * compares what the threads record. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L /* barriers */
#endif

#include "support/operators.h"

#include <pthread.h>
#include <stdio.h>

#define THREADS 8
#define ROUNDS  10

static fake_vulkan vulkan;
static dmattn_context *context;
static dmattn_plan *plans[OPERATORS]; /* shared by all threads */
static uint64_t hashes[OPERATORS];    /* of the recorded commands */
static pthread_barrier_t start;
static atomic_uint failures, errors; /* errors: messages of severity ERROR */

static void expect(bool condition, const char *name)
{
    if (condition)
        return;
    atomic_fetch_add_explicit(&failures, 1, memory_order_relaxed);
    fprintf(stderr, "threads: different from one thread: %s\n", name);
}

static void message(void *user, dmattn_severity severity, const char *text)
{
    (void)user, (void)text;
    if (severity == DMATTN_SEVERITY_ERROR)
        atomic_fetch_add_explicit(&errors, 1, memory_order_relaxed);
}

static void record(const dmattn_plan *plan, int i)
{
    fake_commands commands;
    const VkCommandBuffer buffer = fake_commands_begin(&vulkan, &commands);
    expect(!operators[i].record(plan, buffer) && commands.hash == hashes[i], operators[i].name);
}

/* Records every plan and reads its properties; also makes calls that fail. */
static void record_all(int thread)
{
    for (int n = 0; n < ROUNDS * OPERATORS; n++) {
        const int i = (n + thread) % OPERATORS;
        dmattn_plan_info info;
        dmattn_cache_layout layout;
        record(plans[i], i);
        dmattn_plan_get_info(plans[i], &info);
        dmattn_decode_get_layout(plans[i], &layout);
        expect(operators[i].record(plans[i], NULL) == DMATTN_ERROR_INVALID, "a record call without a command buffer");
    }
}

/* Makes plans on the shared context; the order depends on the thread. */
static void plan_all(int thread)
{
    for (int n = 0; n < ROUNDS * OPERATORS; n++) {
        const int i = (n * (thread % 4 + 1) + thread) % OPERATORS;
        dmattn_plan *plan;
        expect(!operators[i].plan(context, &plan), operators[i].name);
        if (plan)
            record(plan, i);
        dmattn_plan_destroy(plan);
    }
}

/* Makes contexts that only this thread uses. */
static void make_contexts(int thread)
{
    for (int n = 0; n < ROUNDS; n++) {
        fake_vulkan own;
        dmattn_context *mine;
        dmattn_plan *plan = NULL;
        const operator_case *o = &operators[(n + thread) % OPERATORS];
        fake_vulkan_init(&own);
        expect(!dmattn_context_create(&own.desc, &mine) && !o->plan(mine, &plan), o->name);
        dmattn_plan_destroy(plan);
        dmattn_context_destroy(mine);
        expect(!fake_vulkan_live(&own) && !own.wrong, "a context of one thread");
    }
}

static void all_of_it(int thread)
{
    (thread % 2 ? record_all : plan_all)(thread);
    make_contexts(thread);
}

typedef struct job {
    void (*run)(int thread);
    int thread;
} job;

static void *run_job(void *argument)
{
    const job *j = argument;
    pthread_barrier_wait(&start);
    j->run(j->thread);
    return NULL;
}

static bool run_threads(void (*run)(int thread))
{
    pthread_t threads[THREADS];
    job jobs[THREADS];
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (job){run, i};
        if (pthread_create(&threads[i], NULL, run_job, &jobs[i]))
            return false; /* the other threads wait for the barrier until main() returns */
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return true;
}

static bool make_plans(void)
{
    fake_vulkan_init(&vulkan);
    vulkan.desc.message = message;
    if (dmattn_context_create(&vulkan.desc, &context))
        return false;
    for (int i = 0; i < OPERATORS; i++) {
        fake_commands commands;
        if (operators[i].plan(context, &plans[i])
            || operators[i].record(plans[i], fake_commands_begin(&vulkan, &commands)))
            return false;
        hashes[i] = commands.hash;
    }
    return !pthread_barrier_init(&start, NULL, THREADS);
}

int main(void)
{
    if (!make_plans() || !run_threads(record_all) || !run_threads(plan_all) || !run_threads(make_contexts)
        || !run_threads(all_of_it)) {
        fprintf(stderr, "threads: the test could not be set up\n");
        return 1;
    }
    for (int i = 0; i < OPERATORS; i++)
        dmattn_plan_destroy(plans[i]);
    dmattn_context_destroy(context);
    /* record_all() runs in all threads, then in half of them. Each record call without a command buffer sends one
     * message, and so does dmattn_decode_get_layout() for each plan that is not a decoding plan. */
    const unsigned calls = ROUNDS * OPERATORS * (THREADS + THREADS / 2);
    const unsigned others = ROUNDS * (OPERATORS - 2) * (THREADS + THREADS / 2);
    expect(errors == calls + others, "the number of error messages");
    expect(!fake_vulkan_live(&vulkan), "objects were not destroyed");
    expect(!vulkan.wrong, "Vulkan was used incorrectly");
    return failures ? 1 : 0;
}
