/* SPDX-License-Identifier: MIT
 * Results as a JSON file. */
#ifndef DMATTN_BENCH_JSON_H
#define DMATTN_BENCH_JSON_H

#include "measure/outcome.h"
#include "results.h"

/* Opaque; kept in memory until it is written. */
typedef struct json_report json_report;

/* NULL without memory. */
json_report *json_create(int argc, char **argv, uint64_t seed, const dmattn_device_info *info);
void json_destroy(json_report *json);

/* The device's ceilings. False without memory. */
bool json_add_ceilings(json_report *json, const ceilings *p);

/* All that was found, with the calibration. False without memory. */
bool json_add_outcomes(json_report *json, const outcomes *o, bool reuse_mask);

/* Which suite it was; that it was interrupted. False without memory. */
bool json_add_suite(json_report *json, const char *name);
bool json_add_interrupted(json_report *json);

/* Whether a file can be made beside `path`, before minutes are spent on what goes into it. If not, *why says so. */
bool json_can_write(const char *path, const char **why);

/* The same as from a file, for tables. If not, `why` says so. */
bool json_read_back(const json_report *json, results *all, char why[RESULTS_WHY_SIZE]);

/* To a file, or to stdout for "-". False after a complaint. */
bool json_write(const json_report *json, const char *path);

#endif
