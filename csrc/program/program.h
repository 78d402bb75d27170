/* What the operations of a program share. */
#ifndef DC_PROGRAM_H
#define DC_PROGRAM_H

#include "deepcompress.h"

/* An operation is done in `tasks` tasks, whose number depends on it and on the number of
 * threads; no result depends on it. Each returns 1 if all that it computes is finite, else 0. */
int dc_max_pool(const struct dc_operation *op, size_t task, size_t tasks, float *scratch);
int dc_average(const struct dc_operation *op, size_t task, size_t tasks);
int dc_normalize(const struct dc_operation *op, size_t task, size_t tasks);

#endif
