/* How a thread sleeps until a word is another: by Linux's futex, elsewhere by a condition variable.
 * dc_sleep may return earlier. Whoever has changed the word wakes the thread by dc_wake. */
#ifndef DC_SLEEP_H
#define DC_SLEEP_H

#include <stdatomic.h>
#include <stdint.h>

#if defined(__linux__) && !defined(DC_NO_FUTEX)

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

struct dc_sleeper {
    char none;
};

static inline void dc_sleeper_init(struct dc_sleeper *sleeper)
{
    (void)sleeper;
}

static inline void dc_sleep(struct dc_sleeper *sleeper, _Atomic uint32_t *word, uint32_t value)
{
    (void)sleeper;
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static inline void dc_wake(struct dc_sleeper *sleeper, _Atomic uint32_t *word)
{
    (void)sleeper;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#else

#include <pthread.h>

struct dc_sleeper {
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static inline void dc_sleeper_init(struct dc_sleeper *sleeper)
{
    pthread_mutex_init(&sleeper->lock, NULL);
    pthread_cond_init(&sleeper->changed, NULL);
}

static inline void dc_sleep(struct dc_sleeper *sleeper, _Atomic uint32_t *word, uint32_t value)
{
    pthread_mutex_lock(&sleeper->lock);
    while (atomic_load_explicit(word, memory_order_acquire) == value)
        pthread_cond_wait(&sleeper->changed, &sleeper->lock);
    pthread_mutex_unlock(&sleeper->lock);
}

static inline void dc_wake(struct dc_sleeper *sleeper, _Atomic uint32_t *word)
{
    (void)word;
    pthread_mutex_lock(&sleeper->lock); /* the thread is before its look at the word, or waits */
    pthread_cond_signal(&sleeper->changed);
    pthread_mutex_unlock(&sleeper->lock);
}

#endif

#endif
