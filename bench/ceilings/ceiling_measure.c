/* SPDX-License-Identifier: MIT */
#include "ceiling_measure.h"

#include "ceiling_work.h"
#include "reference/element.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- timing -------------------------------------------------------------------------------------------------- */

/* Seconds of a run, so that its beginning and end do not weigh, but far from so many that a driver would lose patience.
 */
#define LONG_ENOUGH 1e-2

static dmattn_status time_work(const work *w, timing *t)
{
    const recording what = {w->settings->device, record_work, w};
    *t = (timing){.sorted = malloc(w->settings->max_samples * sizeof *t->sorted),
                  .calibration = w->settings->calibration};
    if (!t->sorted)
        return dmattn_fail(w->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for samples");
    const dmattn_status status =
        take_samples(w->settings, &what, w->settings->info->type == VK_PHYSICAL_DEVICE_TYPE_CPU ? 0.2 : 1, t);
    free(t->sorted);
    return status;
}

/* Keeps the better of what is known and what was measured: a run did `amount` of bytes or operations. */
static void keep_best(peak *p, double amount, const timing *t)
{
    if (t->time.median > 0 && amount / t->time.median > p->rate) {
        p->rate = amount / t->time.median;
        p->spread = t->time.spread;
        p->uncertainty = summary_uncertainty(&t->time);
        p->calibrated = timing_calibrated(t);
    }
}

static dmattn_status download(const work *w)
{
    return dmattn_download(w->settings->device, &w->to, 0, w->host, w->to.size);
}

static dmattn_status check_value(const work *w, uint64_t index, peak_expected want)
{
    const double got = ((const float *)w->host)[index];
    if (fabs(got - want.value) <= want.tolerance) /* false for NaN */
        return DMATTN_SUCCESS;
    return dmattn_fail(w->log, DMATTN_ERROR_VULKAN, "WRONG: result %llu after %u repeats is %g instead of %g +- %g",
                       (unsigned long long)index, w->repeats, got, want.value, want.tolerance);
}

/* ---- copying ------------------------------------------------------------------------------------------------- */

#define CHUNK (UINT64_C(1) << 24)

/* Fills, or compares, all of the data through a chunk of host memory. Each `way` of copying has data of its own, so
 * that none finds copied what it was to copy. */
static dmattn_status fill_copy(const work *w, int way)
{
    for (uint64_t at = 0; at < w->from.size; at += CHUNK) {
        peak_copy_fill(w->host, (way * w->from.size + at) / 4, CHUNK / 4);
        TRY(dmattn_upload(w->settings->device, &w->from, at, w->host, CHUNK));
    }
    return DMATTN_SUCCESS;
}

static dmattn_status check_copy(const work *w, int way)
{
    uint32_t *want = malloc(CHUNK);
    dmattn_status status = want ? download(w) : dmattn_fail(w->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory");
    for (uint64_t at = 0; !status && at < w->to.size; at += CHUNK) {
        peak_copy_fill(want, (way * w->from.size + at) / 4, CHUNK / 4);
        if (memcmp((const char *)w->host + at, want, CHUNK))
            status = dmattn_fail(w->log, DMATTN_ERROR_VULKAN, "WRONG: what was copied is not what was there, near %llu",
                                 (unsigned long long)at);
    }
    free(want);
    return status;
}

static dmattn_status time_copy(work *w, int way, peak *p)
{
    double seconds;
    timing time;
    *w->next = 0;
    w->workgroups = (uint32_t)(CHUNK / w->workgroup_bytes);
    TRY(fill_copy(w, way));
    for (uint64_t at = 0; at < w->to.size; at += CHUNK)
        TRY(run_work(w, &seconds));
    TRY(check_copy(w, way));
    TRY(choose_size(w, &w->workgroups, (uint32_t)(w->to.size / w->workgroup_bytes), LONG_ENOUGH));
    TRY(time_work(w, &time));
    TRY(check_copy(w, way));
    keep_best(p, 2.0 * (double)w->workgroup_bytes * w->workgroups, &time);
    return DMATTN_SUCCESS;
}

/* As much as the caches of today's devices hold several times over, and of memory at most an eighth. */
static uint64_t copy_bytes(const dmattn_device_info *info)
{
    const uint64_t most = UINT64_C(1) << (info->type == VK_PHYSICAL_DEVICE_TYPE_CPU ? 26 : 29);
    uint64_t bytes = info->device_memory / 16 < info->max_allocation ? info->device_memory / 16 : info->max_allocation;
    bytes = bytes < most ? bytes : most;
    return bytes < CHUNK ? CHUNK : bytes / CHUNK * CHUNK;
}

/* By a kernel, which is what attention is, too, and by the driver's own copy, which is better where each invocation's
 * access to memory costs instructions, as on a CPU. */
static dmattn_status measure_copy(work *w, peak *p)
{
    enum { PIECES = 8 };
    const uint32_t constants[] = {WORKGROUP, PIECES};
    const kernel_values values = {constants, sizeof constants / sizeof *constants, 0};
    const uint64_t bytes = copy_bytes(w->settings->info);
    TRY(work_create_pipeline(w, "ceiling_copy", &values));
    TRY(work_create_buffers(w, bytes, bytes));
    w->workgroup_bytes = WORKGROUP * PIECES * 16;
    TRY(time_copy(w, 0, p));
    w->copy = (PFN_vkCmdCopyBuffer)w->ctx->vk.GetDeviceProcAddr(w->ctx->device, "vkCmdCopyBuffer");
    return time_copy(w, 1, p);
}

/* ---- multiply-adds ------------------------------------------------------------------------------------------- */

static dmattn_status check_fma(const work *w, const float *input)
{
    peak_expected want[PEAK_FMA_WINDOWS];
    TRY(download(w));
    for (uint32_t i = 0; i < PEAK_FMA_WINDOWS; i++)
        want[i] = peak_fma_expect(input, i, w->repeats);
    for (uint64_t i = 0; i < (uint64_t)w->workgroups * WORKGROUP; i++)
        TRY(check_value(w, i, want[i % PEAK_FMA_WINDOWS]));
    return DMATTN_SUCCESS;
}

static dmattn_status measure_fma(work *w, peak *p)
{
    float input[PEAK_FMA_INPUTS];
    double seconds;
    timing time;
    w->repeats = 4;
    TRY(work_create_fma(w, input));
    TRY(run_work(w, &seconds));
    TRY(check_fma(w, input));
    TRY(choose_size(w, &w->repeats, MOST_REPEATS, LONG_ENOUGH));
    TRY(time_work(w, &time));
    TRY(check_fma(w, input));
    keep_best(p, work_fma_flops(w), &time);
    return DMATTN_SUCCESS;
}

/* ---- matrices ------------------------------------------------------------------------------------------------ */

#define SUBGROUPS 4 /* of a workgroup */

static dmattn_status check_matrices(const work *w, const peak_matrices *m, const peak_expected *one)
{
    const uint32_t elements = m->shape.m * m->shape.n;
    const double n = w->repeats;
    TRY(download(w));
    for (uint32_t subgroup = 0; subgroup < w->workgroups * SUBGROUPS; subgroup++)
        for (uint32_t i = 0; i < elements; i++) {
            const peak_expected *e = &one[subgroup % PEAK_MATRIX_WINDOWS * elements + i];
            const peak_expected want = {n * e->value, n * n * e->tolerance};
            TRY(check_value(w, (uint64_t)subgroup * elements + i, want));
        }
    return DMATTN_SUCCESS;
}

static dmattn_status time_matrices(work *w, const peak_matrices *m, const peak_expected *one, peak *p)
{
    const matrix_shape *x = &m->shape;
    double seconds;
    timing time;
    TRY(run_work(w, &seconds));
    TRY(check_matrices(w, m, one));
    TRY(choose_size(w, &w->repeats, MOST_REPEATS, LONG_ENOUGH));
    TRY(time_work(w, &time));
    TRY(check_matrices(w, m, one));
    keep_best(p,
              2.0 * x->m * x->n * x->k * m->rows * m->columns * SUBGROUPS * (double)w->workgroups * (double)w->repeats,
              &time);
    return DMATTN_SUCCESS;
}

/* Uploads the operands; what comes out of one repeat in `one`. */
static dmattn_status fill_matrices(const work *w, dmattn_type type, const peak_matrices *m, int8_t *eighths,
                                   uint16_t *operands, peak_expected *one)
{
    const uint32_t count = PEAK_MATRIX_WINDOWS * peak_matrix_window(m), elements = m->shape.m * m->shape.n;
    if (!eighths || !operands || !one)
        return dmattn_fail(w->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for operands");
    peak_matrix_fill(m, eighths, w->settings->seed);
    for (uint32_t i = 0; i < count; i++)
        element_store(type, operands, i, eighths[i] / 8.0);
    for (uint32_t i = 0; i < PEAK_MATRIX_WINDOWS * elements; i++)
        one[i] = peak_matrix_expect(m, eighths, i / elements, i % elements / m->shape.n, i % m->shape.n);
    return dmattn_upload(w->settings->device, &w->from, 0, operands, 2 * (uint64_t)count);
}

static const char *matrix_kernel(dmattn_type type)
{
    return type == DMATTN_TYPE_F16 ? "ceiling_matrix_f16" : "ceiling_matrix_bf16";
}

static dmattn_status measure_matrices(work *w, dmattn_type type, const peak_matrices *m, peak *p)
{
    const uint32_t subgroup = dmattn_capabilities_subgroup_size(&w->ctx->caps, 32);
    const uint32_t count = PEAK_MATRIX_WINDOWS * peak_matrix_window(m), elements = m->shape.m * m->shape.n;
    const uint32_t constants[] = {SUBGROUPS * subgroup, subgroup, m->shape.m, m->shape.n,
                                  m->shape.k,           m->rows,  m->columns};
    const kernel_values values = {constants, sizeof constants / sizeof *constants, subgroup};
    w->workgroups = enough_workgroups(w->settings);
    w->repeats = 8;
    TRY(work_create_pipeline(w, matrix_kernel(type), &values));
    TRY(work_create_buffers(w, UINT64_C(2) * count, UINT64_C(4) * elements * SUBGROUPS * w->workgroups));
    int8_t *eighths = malloc(count);
    uint16_t *operands = malloc(count * sizeof *operands);
    peak_expected *one = malloc(PEAK_MATRIX_WINDOWS * elements * sizeof *one);
    dmattn_status status = fill_matrices(w, type, m, eighths, operands, one);
    if (!status)
        status = time_matrices(w, m, one, p);
    free(one);
    free(operands);
    free(eighths);
    return status;
}

/* The shape stays 0 if this build has no kernel, with which it has none of attention, either. */
static dmattn_status find_shape(const work *w, dmattn_type type, matrix_shape *shape)
{
    const capabilities *caps = &w->ctx->caps;
    char why[128];
    if (!find_kernel(matrix_kernel(type)))
        return DMATTN_SUCCESS;
    if (!dmattn_capabilities_can(caps, DMATTN_LEVEL_MATRIX, why, sizeof why))
        return dmattn_fail(w->log, DMATTN_ERROR_UNSUPPORTED, "%s", why);
    *shape = type == DMATTN_TYPE_F16 ? caps->f16_matrix : caps->bf16_matrix;
    if (!shape->m)
        return dmattn_fail(w->log, DMATTN_ERROR_UNSUPPORTED, "the device has no matrices of %s summed up in f32",
                           dmattn_type_string(type));
    return DMATTN_SUCCESS;
}

/* More sums at a time hide more waiting, and take more registers, which are for fewer subgroups: what is best differs.
 */
static dmattn_status measure_matrix_forms(const work *empty, dmattn_type type, peak *p)
{
    static const uint32_t forms[][2] = {{1, 2}, {2, 4}, {4, 4}};
    TRY(find_shape(empty, type, &p->shape));
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        work w = *empty;
        const peak_matrices m = {p->shape, forms[i][0], forms[i][1]};
        const dmattn_status status = measure_matrices(&w, type, &m, p);
        work_destroy(&w);
        TRY(status);
    }
    return DMATTN_SUCCESS;
}

/* ---- any of them --------------------------------------------------------------------------------------------- */

static dmattn_status measure_one(work *w, peak_id id, peak *p)
{
    switch (id) {
    case PEAK_COPY: return measure_copy(w, p);
    case PEAK_FMA: return measure_fma(w, p);
    case PEAK_F16_MATRIX: return measure_matrix_forms(w, DMATTN_TYPE_F16, p);
    default: return measure_matrix_forms(w, DMATTN_TYPE_BF16, p);
    }
}

bool peak_measure(const measure_settings *s, peak_id id, peak *p)
{
    const messenger log = {error_log_keep, s->log};
    uint64_t next = 0;
    work w = {.settings = s, .next = &next, .ctx = dmattn_device_context(s->device), .log = &log};
    *p = (peak){0};
    *s->log->text = 0;
    const dmattn_status status = measure_one(&w, id, p);
    if (status) {
        p->rate = 0;
        snprintf(p->why, sizeof p->why, "%.*s", (int)sizeof p->why - 1, error_log_sentence(s->log, status));
    }
    work_destroy(&w);
    return !status || status == DMATTN_ERROR_UNSUPPORTED;
}
