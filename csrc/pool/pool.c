/* Threads of our own: workers that wait for work, and callers that take part in theirs.
 *
 * Each worker has a line of the cache with one word, an epoch and a state. A caller claims workers
 * that are free, hands them its job and begins: each of them has a span of the tasks, does half of what
 * is left of it again and again, and when it has none left, of the backs of the others'. So threads have the same
 * part of the weights in their caches call after call, and no one waits for a thread that hasn't
 * begun: the caller does its tasks, and takes the job back. It waits only for tasks that have been
 * begun. What a caller can't claim works for another one; it goes on with those that it has.
 *
 * Worker and caller meet in the word alone:
 *
 *     EMPTY -> CLAIMED -> POSTED -> RUNNING -> AWAKE    by caller, caller, worker, worker
 *     AWAKE -> ASLEEP                                   by the worker, when it has spun long enough
 *     AWAKE, ASLEEP -> CLAIMED                          by a caller, with the next epoch
 *     POSTED -> AWAKE                                   by the caller, who takes back the job
 *     POSTED -> ASLEEP                                  by the worker, who refuses it
 *
 * There are no locks, so that a fork finds none held; the threads of the parent aren't there in
 * the child, which may go on with the pool all the same (nobody answers, and nobody is waited for),
 * but should make one of its own.
 *
 * To wake a thread takes microseconds, on virtual machines tens of them, part of which is the
 * caller's own time. So workers spin for a while after their work, by the clock; whoever is awake
 * gets a share of any work. Those asleep are woken for work that is WORTH_WAKING times as long as
 * it has lately taken them to begin, or when calls follow each other so closely that they will
 * still be awake at the next one.
 *
 * Where that goes wrong, what it cost is a loss: a worker came too late for anything, or held up
 * the caller, as where more threads want to run than there are processors. Losses in excess of what
 * help has gained lately are a debt. Until it is paid, by 1/PAY_PART of the work done meanwhile, the
 * calls do without. So whatever else runs makes several threads slower than one by that part at
 * most, and an accident now and then costs no more than itself.
 *
 * Linux likes to wake a thread on the processor of who wakes it, in whose place it then runs: on two
 * virtual processors, both idle (Zen 3, KVM, Linux 6.18), in 794 of 800 cases. So whoever wakes a
 * worker keeps it off its own processor. Wakes then took the caller 5 us and the worker 13 to 18 us
 * after rests of up to 1 ms, 11 to 14 us and 30 to 40 us after 10 ms. A worker that finds itself there
 * all the same, as the caller has moved, refuses the job and sleeps. */
#define _GNU_SOURCE /* sched_getcpu */
#include <stdlib.h>
#include <string.h>

#include "platform.h"
#include "pool/pool.h"

#define LEAST_TASK 5e3 /* nanoseconds; to take one costs tens of them */
#define TASKS_EACH 8   /* at most, for each thread of a team */

size_t dc_tasks_of(const struct dc_team *team, size_t most)
{
    if (!team)
        return most < 1 ? most : 1;
    size_t tasks = team->threads * TASKS_EACH;
    if (team->nanoseconds < LEAST_TASK * (double)tasks)
        tasks = (size_t)(team->nanoseconds / LEAST_TASK);
    tasks = tasks < team->threads ? team->threads : tasks;
    return tasks < most ? tasks : most;
}

#if !DC_THREADS

int dc_has_threads(void)
{
    return 0;
}

struct dc_pool *dc_pool_create(size_t workers)
{
    (void)workers;
    return NULL;
}

void dc_pool_tune(struct dc_pool *pool, size_t processors, uint64_t spin)
{
    (void)pool, (void)processors, (void)spin;
}

void dc_pool_destroy(struct dc_pool *pool)
{
    (void)pool;
}

void dc_pool_report(const struct dc_pool *pool, struct dc_pool_report *report)
{
    (void)pool;
    *report = (struct dc_pool_report){0};
}

void dc_deal(const struct dc_team *team, size_t tasks, dc_task *task, void *context)
{
    (void)team;
    if (tasks)
        task(context, 0, tasks, 0);
}

#else

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "pool/sleep.h"

#define LINE 128            /* bytes; processors fetch lines of 64 by twos */
#define MOST_THREADS 128    /* of a job */
#define WORTH_WAKING 6      /* times the latency */
#define FIRST_LATENCY 50000 /* nanoseconds, until one has been measured */
#define CLOSE_CALLS 2       /* in a row, after which sleepers are woken for the next ones */
#define PAY_PART 32         /* of the time of work without help pays for what help has cost */
#define LEAST_WAIT 20000    /* nanoseconds that a caller may wait for others without blaming them */
#define MOST_CREDIT 20000000 /* nanoseconds of gains that later losses are taken from */
#define YIELD_AFTER 20000   /* nanoseconds of waiting */

enum state { EMPTY, CLAIMED, POSTED, RUNNING, AWAKE, ASLEEP, STOPPED };
#define STATE_BITS 3
#define STATE(word) ((word) & ((1u << STATE_BITS) - 1))
#define IN_STATE(word, state) (((word) & ~((1u << STATE_BITS) - 1)) | (state))

/* Tasks from `first` in the high half to before `end` in the low one. */
struct span {
    _Alignas(LINE) _Atomic uint64_t ends;
};

struct job {
    dc_task *task;
    void *context;
    size_t threads;
    _Atomic size_t helped; /* tasks that workers did */
    struct span spans[MOST_THREADS];
};

struct worker {
    _Alignas(LINE) _Atomic uint32_t word;
    _Atomic int processor;   /* where the last caller was */
    _Atomic uint64_t posted; /* when it was woken from sleep, or 0 */
    _Atomic uint64_t spin;   /* nanoseconds, after the last job */
    struct job *job;
    size_t thread;           /* of the job */
    struct dc_pool *pool;
    struct dc_sleeper sleeper;
    pthread_t id;
    int kept_off; /* processor, plus 1 */
};

struct dc_pool {
    size_t workers; /* that there is room for */
    _Atomic size_t processors;
    _Atomic uint64_t spin;
    _Alignas(LINE) _Atomic size_t callers; /* that are within now */
    /* Of experience; of several callers' at once, some may be lost. */
    _Alignas(LINE) _Atomic uint64_t latency;
    _Atomic uint64_t last_end;
    _Atomic uint32_t close_calls;
    _Atomic int64_t debt, wake_debt; /* of those awake, and of those that have to be woken */
    _Atomic uint64_t shared, woken, refused, held_up;
    struct worker worker[];
};

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int processor(void)
{
#ifdef __linux__
    return sched_getcpu();
#else
    return -1;
#endif
}

/* Keeps a thread off a processor, on the others that the caller may use, if there are any. */
static void keep_off(pthread_t id, int here)
{
#ifdef __linux__
    cpu_set_t may;
    if (here < 0 || here >= CPU_SETSIZE || sched_getaffinity(0, sizeof may, &may))
        return; /* as on more processors than the set has */
    CPU_CLR(here, &may);
    if (CPU_COUNT(&may))
        pthread_setaffinity_np(id, sizeof may, &may);
#else
    (void)id, (void)here;
#endif
}

static void rest(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++)
        dc_pause();
}

#define GET(place) atomic_load_explicit(&(place), memory_order_relaxed)
#define PUT(place, value) atomic_store_explicit(&(place), value, memory_order_relaxed)
#define ADD(place, value) atomic_fetch_add_explicit(&(place), value, memory_order_relaxed)

static int move_on(struct worker *w, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong_explicit(&w->word, &from, to, memory_order_acq_rel,
                                                   memory_order_acquire);
}

/* Tasks. */

/* Does half of what a span has left, or its last task. Returns how many that were. */
static size_t take(struct job *job, struct span *span, int from_front, size_t thread)
{
    uint64_t ends = GET(span->ends);
    for (;;) {
        const uint64_t first = ends >> 32, end = (uint32_t)ends, some = (end - first + 1) / 2;
        if (first >= end)
            return 0;
        const uint64_t left = from_front ? (first + some) << 32 | end : first << 32 | (end - some);
        if (!atomic_compare_exchange_weak_explicit(&span->ends, &ends, left, memory_order_relaxed,
                                                   memory_order_relaxed))
            continue;
        if (from_front)
            job->task(job->context, first, first + some, thread);
        else
            job->task(job->context, end - some, end, thread);
        return some;
    }
}

/* Returns how many tasks were left for this thread. */
static size_t take_part(struct job *job, size_t thread)
{
    size_t done = 0;
    for (size_t i = 0; i < job->threads; i++) {
        struct span *span = &job->spans[(thread + i) % job->threads];
        for (size_t some; (some = take(job, span, i == 0, thread)) != 0;)
            done += some;
    }
    return done;
}

/* Experience. */

static void pay(_Atomic int64_t *debt, int64_t gain)
{
    const int64_t owed = GET(*debt) - gain;
    PUT(*debt, owed < -MOST_CREDIT ? -MOST_CREDIT : owed);
}

/* Whoever goes without threads for a debt pays a part of the work for it. */
static int is_in_debt(_Atomic int64_t *debt, double nanoseconds)
{
    if (GET(*debt) <= 0)
        return 0;
    pay(debt, (int64_t)(nanoseconds / PAY_PART) + 1);
    return 1;
}

/* Workers. */

static void learn_latency(struct worker *w)
{
    const uint64_t posted = atomic_exchange_explicit(&w->posted, 0, memory_order_relaxed);
    if (!posted)
        return;
    const uint64_t taken = now() - posted, known = GET(w->pool->latency);
    PUT(w->pool->latency, known - known / 4 + taken / 4);
}

/* Whether a caller would rather have the processor on which this runs. */
static int is_in_the_way(struct worker *w)
{
    const int here = processor();
    return (here >= 0 && here == GET(w->processor)) ||
           GET(w->pool->callers) >= GET(w->pool->processors);
}

/* Looks for work until there is some, or the time is up. Returns the word. */
static uint32_t look_for_work(struct worker *w)
{
    const uint64_t end = now() + GET(w->spin);
    for (unsigned rounds = 1;; rounds = rounds < 8 ? 2 * rounds : 8) {
        const uint32_t word = atomic_load_explicit(&w->word, memory_order_acquire);
        if (STATE(word) != AWAKE)
            return word;
        if (is_in_the_way(w) || now() >= end)
            return word;
        rest(rounds);
    }
}

static void *work(void *argument)
{
    struct worker *w = argument;
    for (;;) {
        uint32_t word = look_for_work(w);
        switch (STATE(word)) {
        case POSTED: {
            learn_latency(w);
            if (is_in_the_way(w)) {
                ADD(w->pool->refused, 1);
                if (move_on(w, word, IN_STATE(word, ASLEEP)))
                    dc_sleep(&w->sleeper, &w->word, IN_STATE(word, ASLEEP));
            } else if (move_on(w, word, IN_STATE(word, RUNNING))) {
                const size_t done = take_part(w->job, w->thread);
                ADD(w->job->helped, done);
                atomic_store_explicit(&w->word, IN_STATE(word, AWAKE), memory_order_release);
            }
            break;
        }
        case AWAKE:
            if (move_on(w, word, IN_STATE(word, ASLEEP)))
                dc_sleep(&w->sleeper, &w->word, IN_STATE(word, ASLEEP));
            break;
        case ASLEEP: dc_sleep(&w->sleeper, &w->word, word); break;
        case STOPPED: return NULL;
        default: /* a caller is about to post a job */ sched_yield();
        }
    }
}

static int start(struct worker *w)
{
    sigset_t all, before;
    sigfillset(&all); /* signals are the program's own threads' */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&w->id, NULL, work, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !failed;
}

/* Callers. */

/* Whether to wake sleepers for such work. */
static int worth_waking(struct dc_pool *pool, double nanoseconds)
{
    if (is_in_debt(&pool->wake_debt, nanoseconds))
        return 0;
    if (GET(pool->close_calls) >= CLOSE_CALLS)
        return 1;
    const uint64_t latency = GET(pool->latency);
    if (nanoseconds >= WORTH_WAKING * (double)latency)
        return 1;
    PUT(pool->latency, latency - latency / 64); /* that it be tried again some day */
    return 0;
}

/* Hands the job to a worker that is free; returns its word then, or 0. */
static uint32_t hand_out(struct worker *w, struct job *job, size_t thread, int wakes, int here,
                         uint64_t spin)
{
    const uint32_t word = GET(w->word), state = STATE(word);
    if (state != AWAKE && !(wakes && (state == ASLEEP || state == EMPTY)))
        return 0;
    const uint32_t claimed = IN_STATE(word + (1u << STATE_BITS), CLAIMED);
    if (!move_on(w, word, claimed))
        return 0;
    if (state == EMPTY && !start(w)) {
        atomic_store_explicit(&w->word, IN_STATE(claimed, EMPTY), memory_order_release);
        return 0;
    }
    if (state != AWAKE && w->kept_off != here + 1) {
        keep_off(w->id, here);
        w->kept_off = here + 1;
    }
    const uint32_t posted = IN_STATE(claimed, POSTED);
    w->job = job;
    w->thread = thread;
    PUT(w->processor, here);
    PUT(w->spin, spin);
    PUT(w->posted, state == ASLEEP ? now() : 0);
    atomic_store_explicit(&w->word, posted, memory_order_release);
    if (state == ASLEEP)
        dc_wake(&w->sleeper, &w->word);
    return posted;
}

/* Takes back a job that the worker hasn't begun, or waits until it has done what it has begun. */
static void take_back(struct worker *w, uint32_t posted)
{
    if (move_on(w, posted, IN_STATE(posted, AWAKE)))
        return;
    const uint32_t running = IN_STATE(posted, RUNNING);
    const uint64_t begun = now();
    for (unsigned rounds = 1;; rounds = rounds < 8 ? 2 * rounds : 8) {
        if (atomic_load_explicit(&w->word, memory_order_acquire) != running)
            return;
        if (now() - begun > YIELD_AFTER)
            sched_yield();
        else
            rest(rounds);
    }
}

static void set_out(struct job *job, size_t tasks)
{
    for (size_t i = 0; i < job->threads; i++) {
        const uint64_t first = tasks * i / job->threads, end = tasks * (i + 1) / job->threads;
        atomic_init(&job->spans[i].ends, first << 32 | end);
    }
}

static void deal(struct dc_pool *pool, size_t callers, struct job *job, size_t tasks,
                 double nanoseconds)
{
    uint32_t posted[MOST_THREADS];
    struct worker *helper[MOST_THREADS];
    const size_t processors = GET(pool->processors);
    /* All that run have a processor each, unless this caller wants more. */
    size_t room = job->threads > processors ? job->threads : processors;
    room = room > callers ? room - callers : 0;
    room = room < pool->workers ? room : pool->workers;
    const uint64_t spin = job->threads > processors ? 0 : GET(pool->spin);
    const uint64_t begun = now();
    const int wakes = worth_waking(pool, nanoseconds), here = processor();
    uint64_t wake_time = 0;
    size_t helpers = 0;
    set_out(job, tasks);
    for (size_t i = 0; i < room && helpers + 1 < job->threads; i++) {
        /* What waking the others would take has to be worth it as well. */
        const int may_wake = wakes && (double)wake_time * WORTH_WAKING <= nanoseconds;
        const int sleeps = STATE(GET(pool->worker[i].word)) != AWAKE;
        posted[helpers] = hand_out(&pool->worker[i], job, helpers + 1, may_wake, here, spin);
        if (!posted[helpers])
            continue;
        if (sleeps)
            wake_time = now() - begun;
        helper[helpers++] = &pool->worker[i];
    }
    if (helpers == 0) {
        job->task(job->context, 0, tasks, 0);
        return;
    }
    take_part(job, 0);
    const uint64_t out_of_work = now();
    for (size_t i = 0; i < helpers; i++)
        take_back(helper[i], posted[i]);
    const uint64_t waited = now() - out_of_work;

    const size_t helped = GET(job->helped);
    const int64_t gain = (int64_t)(nanoseconds * (double)helped / (double)tasks);
    const int64_t fair = LEAST_WAIT + (int64_t)(2 * nanoseconds / (double)tasks);
    pay(&pool->debt, gain);
    pay(&pool->wake_debt, gain);
    ADD(pool->woken, wake_time != 0);
    ADD(pool->shared, helped != 0);
    if ((int64_t)waited > fair) {
        ADD(pool->debt, (int64_t)waited - fair);
        ADD(pool->held_up, 1);
    }
    if (wake_time && !helped)
        ADD(pool->wake_debt, (int64_t)wake_time);
}

void dc_deal(const struct dc_team *team, size_t tasks, dc_task *task, void *context)
{
    if (!team || !team->pool || team->threads < 2 || tasks < 2) {
        if (tasks)
            task(context, 0, tasks, 0);
        return;
    }
    struct dc_pool *pool = team->pool;
    const uint64_t begun = now(), since = begun - GET(pool->last_end);
    const size_t callers = ADD(pool->callers, 1) + 1;
    PUT(pool->close_calls, since < GET(pool->spin) ? GET(pool->close_calls) + 1 : 0);
    if (is_in_debt(&pool->debt, team->nanoseconds)) {
        task(context, 0, tasks, 0);
    } else {
        struct job job;
        job.task = task;
        job.context = context;
        job.threads = team->threads < tasks ? team->threads : tasks;
        job.threads = job.threads < MOST_THREADS ? job.threads : MOST_THREADS;
        atomic_init(&job.helped, 0);
        deal(pool, callers, &job, tasks, team->nanoseconds);
    }
    ADD(pool->callers, (size_t)-1);
    PUT(pool->last_end, now());
}

/* Pools. */

int dc_has_threads(void)
{
    return 1;
}

struct dc_pool *dc_pool_create(size_t workers)
{
    const size_t size = sizeof(struct dc_pool) + workers * sizeof(struct worker);
    struct dc_pool *pool = aligned_alloc(LINE, (size + LINE - 1) / LINE * LINE);
    if (!pool)
        return NULL;
    memset(pool, 0, size);
    pool->workers = workers;
    PUT(pool->processors, 1);
    PUT(pool->latency, FIRST_LATENCY);
    for (size_t i = 0; i < workers; i++) {
        pool->worker[i].pool = pool;
        dc_sleeper_init(&pool->worker[i].sleeper);
    }
    return pool;
}

void dc_pool_tune(struct dc_pool *pool, size_t processors, uint64_t spin)
{
    PUT(pool->processors, processors);
    PUT(pool->spin, spin);
}

void dc_pool_destroy(struct dc_pool *pool)
{
    for (size_t i = 0; pool && i < pool->workers; i++) {
        struct worker *w = &pool->worker[i];
        const uint32_t word = atomic_exchange_explicit(&w->word, STOPPED, memory_order_acq_rel);
        if (STATE(word) != EMPTY) {
            dc_wake(&w->sleeper, &w->word);
            pthread_join(w->id, NULL);
        }
    }
    free(pool);
}

void dc_pool_report(const struct dc_pool *pool, struct dc_pool_report *report)
{
    *report = (struct dc_pool_report){0};
    if (!pool)
        return;
    *report = (struct dc_pool_report){
        .latency = GET(pool->latency),
        .shared = GET(pool->shared),
        .woken = GET(pool->woken),
        .refused = GET(pool->refused),
        .held_up = GET(pool->held_up),
        .debt = GET(pool->debt),
        .wake_debt = GET(pool->wake_debt),
    };
    for (size_t i = 0; i < pool->workers; i++)
        report->threads += STATE(GET(pool->worker[i].word)) != EMPTY;
}

#endif
