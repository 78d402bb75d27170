/* A program: a network's layers, one after the other, without Python in between.
 *
 * Threads enter once. They take tasks of an operation whenever they are free, and go on when all of
 * its tasks are done, by whichever thread: one that is woken late, or that another process keeps
 * from its processor, doesn't hold up the others before it has taken a task. */
#include <string.h>
#include <time.h>

#include "layout/layout.h"
#include "program/program.h"
#include "spconv/spconv.h"
#include "spconv/winograd.h"
#include "tasks.h"
#include "pool/pool.h"

#if DC_THREADS
#include <sched.h>
#include <stdatomic.h>
#endif

/* Products in a task: some 10 to 30 microseconds. With 60e3, two threads that are awake take 1.25
 * times as long as one for LeNet-5's 940e3 products, with 200e3 1.1 times (Zen 3): pieces of a small
 * operation copy the same tiles and pass each other their results. */
#define LEAST_WORK 200e3
#define TASKS_EACH 4     /* of an operation for each thread, that none waits long */
#define SPINS 2000       /* looks at a counter, before others may have the processor */

struct run {
    enum dc_isa isa;
    const struct dc_operation *ops;
    size_t count, shares;
    uint32_t *progress; /* of each operation, how many tasks are taken and how many are done */
    char *scratch;
    size_t scratch_each;
    double *finished; /* when each operation was, or NULL */
    uint32_t not_finite;
};

/* How an operation is cut: into `across` pieces of columns times `along` of rows. */
struct cut {
    size_t across, along;
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t elements(const struct dc_geometry *g)
{
    return (size_t)(g->channels * g->height * g->width * g->batch);
}

/* More than one task only where that is worth a thread. */
static struct cut cut_of(const struct run *run, const struct dc_operation *op)
{
    const size_t worth = op->work > LEAST_WORK ? (size_t)(op->work / LEAST_WORK) : 1;
    const size_t most = run->shares > 1 ? least(TASKS_EACH * run->shares, worth) : 1;
    const struct dc_geometry *g = &op->geometry;
    switch (op->kind) {
    case DC_CONVOLVE: {
        const struct dc_convolution c = dc_convolution_of(run->isa, op->blocks, g, 0, 0, 0, 0);
        const size_t across = least(c.panels, most), wanted = least(2 * run->shares, most);
        const size_t along = across < wanted ? (wanted + across - 1) / across : 1;
        return (struct cut){across, least(along, (size_t)op->outputs)};
    }
    case DC_MULTIPLY:
        return (struct cut){
            least(most, op->layout ? dc_parts(op->layout) : (size_t)op->outputs), 1};
    case DC_WINOGRAD: return (struct cut){least(most, dc_winograd_bands(g)), 1};
    case DC_DEPTHWISE: return (struct cut){least(most, (size_t)op->outputs), 1};
    case DC_MAX_POOL:
    case DC_MEAN_POOL:
    case DC_SCALE:
    case DC_TIMES:
    case DC_PAD:
    case DC_PERMUTE:
    case DC_AVERAGE: return (struct cut){least(most, (size_t)g->channels), 1};
    case DC_SOFTMAX:
    case DC_NORMALIZE: return (struct cut){least(most, elements(g) / (size_t)g->channels), 1};
    default: return (struct cut){least(most, elements(g)), 1};
    }
}

static int multiply(const struct run *run, const struct dc_operation *op, size_t task, size_t tasks,
                    void *scratch)
{
    const struct dc_layout *w = op->layout;
    const size_t batch = (size_t)op->geometry.batch;
    int is_finite = 1;
    if (!w) {
        const size_t cols = (size_t)op->geometry.channels, rows = (size_t)op->outputs;
        const size_t first = dc_begin(rows, task, tasks), end = dc_begin(rows, task + 1, tasks);
        dc_kernels_of(run->isa)->rows(op->dense + first * cols, cols, end - first, op->x,
                                      op->y + first);
        return dc_kernels_of(run->isa)->bias(op, first, end);
    }
    const size_t first = dc_share(w, task, tasks), end = dc_share(w, task + 1, tasks);
    if (batch == 1)
        dc_spmv(run->isa, w, op->x, op->y, first, end);
    else
        dc_spmm(run->isa, w, op->x, batch, op->y, batch, batch, first, end, scratch);
    const size_t each = dc_rows_of_part(w), stop = least(end * each, (size_t)w->rows);
    if (w->kind != DC_LAYOUT_LANES && first < end) /* rows are where they were */
        return dc_kernels_of(run->isa)->bias(op, first * each, stop);
    for (size_t i = first * each; i < stop; i++) {
        const size_t row = dc_row_in_place(w, i);
        is_finite &= dc_kernels_of(run->isa)->bias(op, row, row + 1);
    }
    return is_finite;
}

static int do_task(const struct run *run, const struct dc_operation *op, struct cut cut,
                   size_t task, void *scratch)
{
    const size_t tasks = cut.across * cut.along, size = elements(&op->geometry);
    const size_t from = dc_begin(size, task, tasks), to = dc_begin(size, task + 1, tasks);
    switch (op->kind) {
    case DC_CONVOLVE: {
        struct dc_convolution c = dc_convolution_of(run->isa, op->blocks, &op->geometry, op->x,
                                                    op->bias, op->relu, op->y);
        c.high = op->high;
        const size_t column = task / cut.along, row = task % cut.along;
        return dc_convolve_piece(&c, dc_begin(c.panels, column, cut.across),
                                 dc_begin(c.panels, column + 1, cut.across), row, cut.along,
                                 scratch);
    }
    case DC_MULTIPLY: return multiply(run, op, task, tasks, scratch);
    case DC_WINOGRAD: {
        const size_t bands = dc_winograd_bands(&op->geometry);
        return dc_winograd(run->isa, op, dc_begin(bands, task, tasks),
                           dc_begin(bands, task + 1, tasks), scratch);
    }
    case DC_COPY: memcpy(op->y + from, op->x + from, (to - from) * sizeof *op->x); break;
    case DC_PAD: dc_pad(op, task, tasks); break;
    case DC_PERMUTE: dc_permute(op, task, tasks); break;
    default: return dc_kernels_of(run->isa)->layer(op, task, tasks, scratch);
    }
    return 1;
}

#if DC_THREADS
/* Counters are the caller's memory, which has no atomic types. */
_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "as counters are given");

static uint32_t take(uint32_t *counter)
{
    return atomic_fetch_add((_Atomic uint32_t *)counter, 1);
}

static uint32_t look(const uint32_t *counter)
{
    return atomic_load((const _Atomic uint32_t *)counter);
}
#else
static uint32_t take(uint32_t *counter)
{
    return (*counter)++;
}

static uint32_t look(const uint32_t *counter)
{
    return *counter;
}
#endif

static double now(void)
{
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void wait_until(const uint32_t *counter, uint32_t value)
{
    for (unsigned spins = 0; look(counter) < value; spins++) {
        dc_pause();
#if DC_THREADS
        if (spins >= SPINS)
            sched_yield();
#endif
    }
}

/* What each thread does, as a task of its own. A thread may well have several: it then finds that all
 * is done. */
static void take_part(void *context, size_t first, size_t end, size_t thread)
{
    struct run *run = context;
    if (end - first == run->shares) /* alone, for whom nothing needs to be cut */
        run->shares = 1;
    void *scratch = run->scratch + thread * run->scratch_each;
    for (size_t i = 0; i < run->count && !look(&run->not_finite); i++) {
        const struct cut cut = cut_of(run, run->ops + i);
        const uint32_t tasks = (uint32_t)(cut.across * cut.along);
        for (uint32_t task; (task = take(run->progress + 2 * i)) < tasks;) {
            if (!do_task(run, run->ops + i, cut, task, scratch))
                take(&run->not_finite);
            const uint32_t others = take(run->progress + 2 * i + 1);
            if (run->finished && others + 1 == tasks)
                run->finished[i] = now();
        }
        wait_until(run->progress + 2 * i + 1, tasks);
    }
}

size_t dc_run_scratch(enum dc_isa isa, const struct dc_operation *ops, size_t count)
{
    size_t most = 0;
    for (size_t i = 0; i < count; i++) {
        const struct dc_operation *op = ops + i;
        size_t bytes = 0;
        if (op->kind == DC_CONVOLVE)
            bytes = dc_convolve_scratch(op->blocks);
        else if (op->kind == DC_WINOGRAD)
            bytes = dc_winograd_scratch(op);
        else if (op->kind == DC_MULTIPLY && op->layout)
            bytes = dc_spmm_scratch(isa, op->layout);
        else if (op->kind == DC_MAX_POOL || op->kind == DC_MEAN_POOL)
            bytes = (size_t)(op->geometry.width * op->geometry.batch) * sizeof(float);
        most = bytes > most ? bytes : most;
    }
    return (most + 63) / 64 * 64;
}

enum dc_status dc_run(enum dc_isa isa, const struct dc_operation *ops, size_t count,
                      const struct dc_team *team, uint32_t *progress, void *scratch,
                      double *seconds, int *is_finite)
{
    if (!dc_isa_available(isa))
        return DC_NO_ISA;
    struct run run = {isa, ops, count, dc_threads_of(team), progress, scratch,
                      dc_run_scratch(isa, ops, count), seconds, 0};
    const double begun = seconds ? now() : 0;
    dc_deal(team, run.shares, take_part, &run);
    for (size_t i = seconds && !run.not_finite ? count : 0; i-- > 0;)
        seconds[i] -= i ? seconds[i - 1] : begun;
    *is_finite = !run.not_finite;
    return DC_OK;
}
