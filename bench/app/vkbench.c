/* SPDX-License-Identifier: MIT
 * vkbench: times attention on a Vulkan device and checks every result. */
#define _POSIX_C_SOURCE 200809L
#include "commands/commands.h"
#include "results/provenance.h"
#include "save.h"
#include "session.h"
#include "timing/device_memory.h"
#include "timing/interrupt.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Message callback of the library. Errors are kept in the log; warnings are printed, but a repeated one only once (a
 * case is planned twice). */
typedef struct listener {
    error_log log;
    progress progress;
    char warning[512];
} listener;

static void on_message(void *user, dmattn_severity severity, const char *text)
{
    listener *l = user;
    if (l->log.ignores)
        return;
    error_log_keep(&l->log, severity, text);
    if (severity != DMATTN_SEVERITY_WARNING || !strncmp(l->warning, text, sizeof l->warning - 1))
        return;
    snprintf(l->warning, sizeof l->warning, "%s", text);
    progress_erase(&l->progress);
    complain(FINE, "warning: %s", text);
}

static int end_output(int status)
{
    return fflush(stdout) || ferror(stdout) ? complain(FAILED, "the output cannot be written") : status;
}

/* ---- devices ------------------------------------------------------------------------------------------------- */

/* Lists the cases to run on a device. On an error complains and returns an exit status. */
static int list_cases(const bench_options *o, const shape_list *shapes, const dmattn_device_info *info, error_log *log,
                      case_list *cases)
{
    const VkPhysicalDeviceType type = info->type;
    sweep s = o->sweep;
    bool ok;
    if (o->suite)
        ok = suite_add_cases(o->suite, type, shapes, &s, o->filter, cases);
    else {
        sweep_set_defaults(&s, type);
        if (!sweep_check(&s, &(messenger){error_log_keep, log}))
            return complain(BAD_USAGE, "%s", log->text);
        ok = case_list_add(cases, &s, o->filter, false);
    }
    if (!ok)
        return complain(FAILED, "no memory for the cases");
    if (o->suite)
        case_list_leave_out(cases, device_largest_buffer(info));
    if (!cases->count && cases->left_out)
        return complain(FAILED, "the caches of all cases are larger than the buffers of the device");
    if (!cases->count)
        return complain(BAD_USAGE, "no case has '%s' in its name; --list-cases without --filter shows all names",
                        o->filter);
    return FINE;
}

static int print_cases(const case_list *cases)
{
    char name[CASE_NAME_SIZE];
    for (uint32_t i = 0; i < cases->count; i++) {
        case_name(&cases->item[i], name);
        puts(name);
    }
    return end_output(FINE);
}

static int create_and_run(int argc, char **argv, const bench_options *o, const case_list *cases,
                          dmattn_runtime *runtime, uint32_t index, const dmattn_device_info *info, listener *l)
{
    dmattn_device *device;
    json_report *json = NULL;
    if (!save_begin(o))
        return FAILED;
    if (save_is_wanted(o) && !(json = json_create(argc, argv, o->seed, info)))
        return complain(FAILED, "no memory for the results");
    const dmattn_status status = dmattn_device_create(runtime, index, &device);
    int result;
    if (status)
        result = complain(FAILED, "%s", error_log_sentence(&l->log, status));
    else {
        interrupt_watch();
        result = end_output(session_run(&(session){.options = o,
                                                   .cases = cases,
                                                   .info = info,
                                                   .device = device,
                                                   .devices = dmattn_runtime_device_count(runtime),
                                                   .json = json,
                                                   .log = &l->log,
                                                   .progress = &l->progress}));
        dmattn_device_destroy(device);
    }
    json_destroy(json);
    return result;
}

static int run_best(int argc, char **argv, const bench_options *o, bench_action action, const shape_list *shapes,
                    dmattn_runtime *runtime, listener *l)
{
    uint32_t index;
    dmattn_device_info info;
    dmattn_status status = dmattn_runtime_find_device(runtime, o->device, &index);
    if (status && !dmattn_runtime_device_count(runtime))
        return complain(FAILED, "%s; is your GPU's Vulkan driver installed? With Mesa's lavapipe the CPU is a device",
                        error_log_sentence(&l->log, status));
    if (status) /* no device of this name, or none that is usable */
        return complain(o->device ? BAD_USAGE : FAILED, "%s", error_log_sentence(&l->log, status));
    if ((status = dmattn_runtime_device_info(runtime, index, &info)))
        return complain(FAILED, "%s", error_log_sentence(&l->log, status));
    case_list cases = {0};
    int result = list_cases(o, shapes, &info, &l->log, &cases);
    if (!result)
        result = action == ACTION_LIST_CASES ? print_cases(&cases)
                                             : create_and_run(argc, argv, o, &cases, runtime, index, &info, l);
    case_list_destroy(&cases);
    return result;
}

/* Whether the options are wrong on every device; checked before a device is searched for. */
static bool is_always_wrong(const sweep *s, error_log *log)
{
    const messenger m = {error_log_keep, log};
    sweep cpu = *s, gpu = *s;
    sweep_set_defaults(&cpu, VK_PHYSICAL_DEVICE_TYPE_CPU);
    sweep_set_defaults(&gpu, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
    bool bad = !sweep_check(&cpu, &m) && !sweep_check(&gpu, &m);
    if (!bad)
        *log->text = 0;
    return bad;
}

static int with_runtime(int argc, char **argv, const bench_options *o, bench_action action, const shape_list *shapes)
{
    listener l = {.progress.terminal = isatty(STDERR_FILENO)};
    if (!o->suite && action != ACTION_LIST && is_always_wrong(&o->sweep, &l.log))
        return complain(BAD_USAGE, "%s", l.log.text);
    dmattn_runtime *runtime;
    const dmattn_runtime_desc desc = {.message = on_message, .message_user = &l};
    dmattn_status status = dmattn_runtime_create(&desc, &runtime);
    if (status)
        return complain(FAILED, "%s", error_log_sentence(&l.log, status));
    int result;
    if (action == ACTION_LIST) {
        report_devices(stdout, runtime);
        result = end_output(FINE);
    } else
        result = run_best(argc, argv, o, action, shapes, runtime, &l);
    dmattn_runtime_destroy(runtime);
    return result;
}

static int print_models(const shape_list *shapes)
{
    printf("%-*s %5s %8s %4s %4s\n", MODEL_NAME_SIZE - 1, "model", "heads", "kv_heads", "d", "dv");
    for (uint32_t i = 0; i < shapes->count; i++) {
        const model_shape *m = &shapes->model[i];
        printf("%-*s %5u %8u %4u %4u\n", MODEL_NAME_SIZE - 1, m->name, m->heads, m->kv_heads, m->head_dim,
               m->value_dim);
    }
    return end_output(FINE);
}

int main(int argc, char **argv)
{
    static shape_list shapes;
    complain_as("vkbench");
    const command *named = argc > 1 ? command_find(argv[1]) : NULL;
    if (named)
        return command_run(named, argc, argv);
    bench_options o;
    char why[SHAPES_WHY_SIZE > OPTIONS_WHY_SIZE ? SHAPES_WHY_SIZE : OPTIONS_WHY_SIZE];
    const bench_action action = options_parse(argc, argv, &o, why);
    switch (action) {
    case ACTION_BAD: return complain(BAD_USAGE, "%s", why);
    case ACTION_HELP:
        printf("%s%s%s%s", bench_usage, bench_usage_options, bench_usage_others, bench_usage_notes);
        return end_output(FINE);
    case ACTION_VERSION: printf("vkbench %s (%s)\n", bench_version(), bench_commit()); return end_output(FINE);
    default: break;
    }
    if (!shapes_read(o.shapes, &shapes, why))
        return complain(BAD_USAGE, "%s: %s", o.shapes ? o.shapes : "built-in models", why);
    if (!options_set_models(&o, &shapes, why))
        return complain(BAD_USAGE, "%s", why);
    return action == ACTION_LIST_MODELS ? print_models(&shapes) : with_runtime(argc, argv, &o, action, &shapes);
}
