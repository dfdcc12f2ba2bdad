/* SPDX-License-Identifier: MIT
 * Drivers whose lanes have few registers. A test that pretends that its device has such a driver runs the tiles that
 * are for it. */
#ifndef DMATTN_TESTS_FEW_REGISTERS_H
#define DMATTN_TESTS_FEW_REGISTERS_H

#include "context.h"
#include "support/harness.h"

static const struct {
    const char *name;
    VkDriverId driver;
} few_registers[] = {
    {"as on Intel", VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA}, /* 118 or 128 */
    {"as on Adreno", VK_DRIVER_ID_MESA_TURNIP},           /* 192 */
    {"as on Mali", VK_DRIVER_ID_MESA_PANVK},              /* 64 */
};
#define FEW_REGISTER_DRIVERS (sizeof few_registers / sizeof *few_registers)

/* Whether case number `i` is run for driver number `driver`. Compiling the tiles takes a CPU seconds, so there, each
 * case is run for one driver by default. */
static inline bool few_registers_take(const char *name, size_t driver, size_t i)
{
    return harness_takes(name, !harness_small_tiles() || (driver + i) % FEW_REGISTER_DRIVERS == 0);
}

/* From here to the end of the test, plans are made as for driver number i. */
static inline void pretend_few_registers(size_t i)
{
    h.context->caps.driver = few_registers[i].driver;
}

#endif
