/* Work cut into tasks, or shares for threads. */
#ifndef DC_TASKS_H
#define DC_TASKS_H

#include <stdint.h>

/* Before a loop whose rounds don't depend on each other: they are done by `shares` threads, as
 * far as OpenMP gives them, dealt out by the schedule that follows. */
#ifdef _OPENMP
#define DC_PRAGMA(text) _Pragma(#text)
#define DC_IN_SHARES(shares, ...)                                                                 \
    DC_PRAGMA(omp parallel for num_threads((int)(shares)) schedule(__VA_ARGS__) if ((shares) > 1))
#else
#define DC_IN_SHARES(shares, ...) (void)(shares);
#endif

/* Where a task begins in n items; task `tasks` is the end. */
static inline uint64_t dc_begin(uint64_t n, uint64_t task, uint64_t tasks)
{
    return n / tasks * task + n % tasks * task / tasks;
}

#endif
