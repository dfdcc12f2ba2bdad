/* SPDX-License-Identifier: MIT
 * The JSON file of a run of vkbench. */
#ifndef DMATTN_BENCH_JSON_H
#define DMATTN_BENCH_JSON_H

#include "measure/outcome.h"
#include "results.h"

/* Opaque; in memory until json_write(). */
typedef struct json_report json_report;

/* NULL if out of memory. */
json_report *json_create(int argc, char **argv, uint64_t seed, const dmattn_device_info *info);
void json_destroy(json_report *json);

/* Adds the device's ceilings. False if out of memory. */
bool json_add_ceilings(json_report *json, const ceilings *p);

/* Adds all results and the calibration. False if out of memory. */
bool json_add_outcomes(json_report *json, const outcomes *o, bool reuse_mask);

/* Adds the suite's name; adds that the run was interrupted. False if out of memory. */
bool json_add_suite(json_report *json, const char *name);
bool json_add_interrupted(json_report *json);

/* Whether the file can be created, checked before minutes are spent on its content. If not, *why says why. */
bool json_can_write(const char *path, const char **why);

/* Converts the document to results, as if it was read from a file. On false, `why` says why. */
bool json_read_back(const json_report *json, results *all, char why[RESULTS_WHY_SIZE]);

/* Writes to a file, or to stdout for "-". On failure complains and returns false. */
bool json_write(const json_report *json, const char *path);

#endif
