/* Work cut into tasks. */
#ifndef DC_TASKS_H
#define DC_TASKS_H

#include <stdint.h>

/* Where a task begins in n items; task `tasks` is the end. */
static inline uint64_t dc_begin(uint64_t n, uint64_t task, uint64_t tasks)
{
    return n / tasks * task + n % tasks * task / tasks;
}

#endif
