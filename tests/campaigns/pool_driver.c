/* Callers side by side on one pool, for ThreadSanitizer: python -m tests.campaigns.threads builds it.
 *
 * Each of some threads deals out work of all lengths again and again, with rests between; every task
 * counts itself, and a task that is done twice or not at all ends the program. Then the pool is
 * destroyed, and made anew. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pool/pool.h"

#define CALLERS 4
#define MOST_TASKS 100

struct work {
    unsigned char done[MOST_TASKS]; /* each by one thread: a second one would be a race */
    unsigned rounds;
    size_t threads;
};

static void do_tasks(void *context, size_t first, size_t end, size_t thread)
{
    struct work *work = context;
    if (thread >= work->threads)
        abort();
    for (size_t i = first; i < end; i++) {
        for (volatile unsigned k = 0; k < work->rounds; k++)
            ;
        work->done[i]++;
    }
}

struct caller {
    struct dc_pool *pool;
    unsigned seed, calls;
};

static unsigned draw(unsigned *seed, unsigned below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 16) % below;
}

static void *call(void *argument)
{
    struct caller *c = argument;
    for (unsigned i = 0; i < c->calls; i++) {
        struct work work;
        memset(&work, 0, sizeof work);
        const size_t tasks = draw(&c->seed, MOST_TASKS);
        work.rounds = draw(&c->seed, 2000);
        work.threads = 1 + draw(&c->seed, 5);
        /* Some work says that it is worth waking threads, some that it isn't. */
        const double nanoseconds = draw(&c->seed, 2) ? 1e9 : 1e4;
        const struct dc_team team = {c->pool, work.threads, nanoseconds};
        dc_deal(&team, tasks, do_tasks, &work);
        for (size_t t = 0; t < MOST_TASKS; t++)
            if (work.done[t] != (t < tasks)) {
                fprintf(stderr, "task %zu of %zu was done %d times\n", t, tasks, work.done[t]);
                exit(1);
            }
        if (draw(&c->seed, 8) == 0) {
            const struct timespec rest = {0, (long)draw(&c->seed, 400000)};
            nanosleep(&rest, NULL);
        }
    }
    return NULL;
}

int main(int count, char **arguments)
{
    const unsigned rounds = count > 1 ? (unsigned)atoi(arguments[1]) : 10;
    struct dc_pool_report report, sum = {0};
    for (unsigned round = 0; round < rounds; round++) {
        struct dc_pool *pool = dc_pool_create(1 + round % 7);
        struct caller callers[CALLERS];
        pthread_t threads[CALLERS];
        dc_pool_tune(pool, 1 + round % 9, round % 3 * 50000);
        for (unsigned i = 0; i < CALLERS; i++) {
            callers[i] = (struct caller){pool, round * CALLERS + i, 300};
            pthread_create(&threads[i], NULL, call, &callers[i]);
        }
        for (unsigned i = 0; i < CALLERS; i++)
            pthread_join(threads[i], NULL);
        dc_pool_report(pool, &report);
        sum.shared += report.shared, sum.woken += report.woken, sum.refused += report.refused;
        dc_pool_destroy(pool);
    }
    printf("shared %lu woken %lu refused %lu\n", (unsigned long)sum.shared,
           (unsigned long)sum.woken, (unsigned long)sum.refused);
    return sum.shared == 0; /* else nothing was tried */
}
