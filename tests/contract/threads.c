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
#include <time.h>

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
        dmattn_support support;
        expect(!operators[i].check(context, &support) && support.workspace_size == info.workspace_size, "a check");
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

/* ---- pipelines that threads share -------------------------------------------------------------------------------- */

static dmattn_plan *made_together[THREADS][OPERATORS];
static atomic_uint compiling_now, most_at_once;

/* Compiling takes a while, and long enough for another thread to begin if nothing stops it. */
static void compile_slowly(void)
{
    const unsigned now = atomic_fetch_add_explicit(&compiling_now, 1, memory_order_relaxed) + 1;
    if (now > atomic_load_explicit(&most_at_once, memory_order_relaxed))
        atomic_store_explicit(&most_at_once, now, memory_order_relaxed);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    for (int i = 0; i < 2000 && atomic_load_explicit(&most_at_once, memory_order_relaxed) < 2; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    atomic_fetch_sub_explicit(&compiling_now, 1, memory_order_relaxed);
}

/* All threads make all plans on one context, half of them from the last operator on. */
static void plan_together(int thread)
{
    for (int n = 0; n < OPERATORS; n++) {
        const int i = thread % 2 ? OPERATORS - 1 - n : n;
        expect(!operators[i].plan(context, &made_together[thread][i]), operators[i].name);
        if (made_together[thread][i])
            record(made_together[thread][i], i);
    }
}

/* All threads make the same plan. */
static void plan_one(int thread)
{
    operators[0].plan(context, &made_together[thread][0]);
    if (made_together[thread][0])
        record(made_together[thread][0], 0);
}

static void destroy_together(int thread)
{
    for (int i = 0; i < OPERATORS; i++)
        dmattn_plan_destroy(made_together[thread][i]);
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

static unsigned live_pipelines(void)
{
    return vulkan.made[FAKE_PIPELINE] - vulkan.destroyed[FAKE_PIPELINE];
}

/* Threads that plan at the same time compile in parallel, but each pipeline once. The plans of main() are destroyed
 * first, so that there are no pipelines, and made again. */
static bool share_pipelines(void)
{
    const unsigned pipelines = live_pipelines();
    for (int i = 0; i < OPERATORS; i++)
        dmattn_plan_destroy(plans[i]);
    expect(!live_pipelines(), "pipelines without a plan are left");
    const unsigned made = vulkan.made[FAKE_PIPELINE];
    vulkan.compiling = compile_slowly;
    if (!run_threads(plan_together))
        return false;
    vulkan.compiling = NULL;
    expect(vulkan.made[FAKE_PIPELINE] - made == pipelines, "a pipeline was compiled more than once");
    expect(most_at_once > 1, "only one thread compiled at a time");
    if (!run_threads(destroy_together))
        return false;
    expect(!live_pipelines(), "pipelines without a plan are left");
    for (int i = 0; i < OPERATORS; i++)
        if (operators[i].plan(context, &plans[i]))
            return false;
    return true;
}

/* If a pipeline cannot be compiled, only the plan of the thread that compiled it fails. */
static bool fail_one(void)
{
    const unsigned made = vulkan.made[FAKE_PIPELINE];
    for (int i = 0; i < OPERATORS; i++)
        dmattn_plan_destroy(plans[i]);
    vulkan.compiling = compile_slowly;
    vulkan.calls = 0;
    vulkan.fail_at = 2; /* a pipeline, or the module of one */
    vulkan.failure = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    if (!run_threads(plan_one))
        return false;
    vulkan.fail_at = 0;
    vulkan.compiling = NULL;
    unsigned failed = 0;
    for (int thread = 0; thread < THREADS; thread++) {
        failed += !made_together[thread][0];
        dmattn_plan_destroy(made_together[thread][0]);
        made_together[thread][0] = NULL;
    }
    expect(failed == 1 && vulkan.made[FAKE_PIPELINE] > made, "the number of plans that failed");
    for (int i = 0; i < OPERATORS; i++)
        if (operators[i].plan(context, &plans[i]))
            return false;
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
        || !run_threads(all_of_it) || !share_pipelines() || !fail_one()) {
        fprintf(stderr, "threads: the test could not be set up\n");
        return 1;
    }
    for (int i = 0; i < OPERATORS; i++)
        dmattn_plan_destroy(plans[i]);
    dmattn_context_destroy(context);
    /* record_all() runs in all threads, then in half of them. Each record call without a command buffer sends one
     * message, and so does dmattn_decode_get_layout() for each plan but the three of decoding. */
    const unsigned calls = ROUNDS * OPERATORS * (THREADS + THREADS / 2);
    const unsigned others = ROUNDS * (OPERATORS - 3) * (THREADS + THREADS / 2);
    expect(errors == calls + others + 1, "the number of error messages"); /* and one of fail_one() */
    expect(!fake_vulkan_live(&vulkan), "objects were not destroyed");
    expect(!vulkan.wrong, "Vulkan was used incorrectly");
    return failures ? 1 : 0;
}
