/* SPDX-License-Identifier: MIT
 * Upload and download, through a staging buffer. The functions of the public interface are in transfer.c. */
#ifndef DMATTN_RUNTIME_TRANSFER_H
#define DMATTN_RUNTIME_TRANSFER_H

#include "objects.h"

/* Destroys the staging buffer, if it was made. */
void dmattn_staging_destroy(dmattn_device *device);

#endif
