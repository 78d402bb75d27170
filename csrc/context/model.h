/* The probabilities of labels that have contexts: what both directions share.
 *
 * `_Model` in coding/context_model.py is the definition, and docs/format.md has it in words. All of
 * it is integers. `coder` moves a decision to or from bytes; `decoding` is known when this is
 * compiled, so that either direction has a loop of its own. */
#ifndef DC_CONTEXT_MODEL_H
#define DC_CONTEXT_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "deepcompress.h"
#include "trellis.h"

enum {
    SQUASH_SIDE = 2047, /* logits are -2047 .. 2047, in units of 1/256 */
    KNOTS = 17,
    LEAST_P = 96, /* of 2**16: a decision costs 0.0021 bits at least */
    RATES = 1024,
    COLUMN_LIMIT = 255,
    ROW_LIMIT = 63,
    LIMIT = 1023,
    ROW_HEAD_START = 4, /* decisions that a row's counter takes over from the tensor's */
    FIRST_WEIGHT = 16384,
    MOST_WEIGHT = 1 << 20,
    BIAS = 256,
    CATEGORIES = 8,
    NODES = 144,
    ODD_SET = 9 + NODES, /* of weights: flags by row, signs, magnitudes by node; then */
    SETS = ODD_SET + 8,  /* flags by row in odd states of a trellis */
    SET_WORDS = 7,       /* 5 inputs, the bias, and how often it was used */
    FLAG_INPUTS = 5,
    SIGN_INPUTS = 3,
    MAGNITUDE_INPUTS = 4,
};

/* Where each table of counters begins. */
enum {
    FLAG_COLUMN = 0,
    FLAG_SIZES = FLAG_COLUMN + 32 * 8, /* for each state */
    FLAG_NEAR = FLAG_SIZES + TRELLIS_STATES * 512,
    FLAG_DENSITY = FLAG_NEAR + 1024,
    FLAG_ABOVE = FLAG_DENSITY + 1024,
    SIGN_NEAR = FLAG_ABOVE + 512,
    SIGN_FAR = SIGN_NEAR + 27,
    SIGN_ALONE = SIGN_FAR + 9,
    MAGNITUDE_ALONE = SIGN_ALONE + 1, /* for even and odd states */
    MAGNITUDE_LEFT = MAGNITUDE_ALONE + 4 * NODES,
    MAGNITUDE_ABOVE = MAGNITUDE_LEFT + 64 * NODES,
    MAGNITUDE_SUM = MAGNITUDE_ABOVE + 64 * NODES,
    COUNTERS = MAGNITUDE_SUM + 64 * NODES,
};

#define FIRST_COUNTER (UINT32_C(1) << 31) /* 22 bits of probability 1/2, 10 bits of count 0 */

struct context_model {
    int32_t squash[2 * SQUASH_SIDE + 1];
    int32_t stretch[4096];
    uint32_t rate[RATES];
    uint32_t counters[COUNTERS];
    int32_t weights[SETS * SET_WORDS];
    uint8_t category[256], sign[256]; /* of each label */
};

struct context_coder {
    uint32_t low, high, code;
    uint8_t *payload;       /* to be written */
    const uint8_t *stream;  /* to be read */
    size_t size, at;        /* of the stream or of the room for it, and how far it went */
    const uint32_t *prices; /* NULL, or of each probability / 16 in bits of 2**-16 */
    uint64_t cost;
};

/* x >> bits, rounded down for negative x, too. */
static inline int64_t shift_down(int64_t x, unsigned bits)
{
    return x >= 0 ? x >> bits : ~(~x >> bits);
}

static inline unsigned digits(uint64_t n)
{
    unsigned count = 0;
    for (; n; n >>= 1)
        count++;
    return count;
}

static inline void update(const struct context_model *m, uint32_t *counter, unsigned bit,
                          uint32_t limit)
{
    uint32_t p = *counter >> 10, n = *counter & 1023;
    if (bit)
        p += (uint32_t)((uint64_t)((1u << 22) - p) * m->rate[n] >> 16);
    else
        p -= (uint32_t)((uint64_t)p * m->rate[n] >> 16);
    *counter = p << 10 | (n + (n < limit));
}

/* A decision at probability p / 2**16 of a 1; -1 if the stream has ended. */
static inline int code_bit(struct context_coder *c, uint32_t p, unsigned bit, int decoding)
{
    const uint32_t middle = c->low + (uint32_t)((uint64_t)(c->high - c->low) * p >> 16);
    if (decoding)
        bit = c->code <= middle;
    if (bit)
        c->high = middle;
    else
        c->low = middle + 1;
    while (!((c->low ^ c->high) >> 24)) {
        if (decoding) {
            if (c->at == c->size)
                return -1;
            c->code = c->code << 8 | (c->size - c->at > 4 ? c->stream[c->at + 4] : 0);
        } else if (c->at < c->size)
            c->payload[c->at] = (uint8_t)(c->high >> 24);
        c->at++;
        c->low <<= 8;
        c->high = c->high << 8 | 255;
    }
    return (int)bit;
}

/* A decision that `inputs` counters predict, mixed by the weights of a set. */
static inline int decide(struct context_model *m, struct context_coder *c, const uint32_t *places,
                         unsigned inputs, unsigned set, unsigned bit, int decoding)
{
    int32_t *w = m->weights + set * SET_WORDS;
    int32_t x[SET_WORDS];
    int64_t sum = 0;
    for (unsigned i = 0; i < inputs; i++) {
        x[i] = m->stretch[m->counters[places[i]] >> 20];
        sum += (int64_t)x[i] * w[i];
    }
    x[inputs] = BIAS;
    sum = shift_down(sum + (int64_t)BIAS * w[inputs], 16);
    sum = sum < -SQUASH_SIDE ? -SQUASH_SIDE : sum > SQUASH_SIDE ? SQUASH_SIDE : sum;
    int32_t p = m->squash[sum + SQUASH_SIDE];
    p = p < LEAST_P ? LEAST_P : p > 65536 - LEAST_P ? 65536 - LEAST_P : p;
    const int found = code_bit(c, (uint32_t)p, bit, decoding);
    if (found < 0)
        return found;
    if (c->prices)
        c->cost += c->prices[(found ? p : 65536 - p) >> 4];
    int32_t *uses = w + SET_WORDS - 1;
    const int32_t rate = 3 + 384 / (16 + *uses);
    *uses += *uses < 368;
    const int64_t error = shift_down((int64_t)(found * 65536 - p) * rate, 4);
    for (unsigned i = 0; i <= inputs; i++) {
        const int64_t moved = w[i] + shift_down(x[i] * error + 8192, 14);
        w[i] = (int32_t)(moved < -MOST_WEIGHT  ? -MOST_WEIGHT
                         : moved > MOST_WEIGHT ? MOST_WEIGHT
                                               : moved);
    }
    for (unsigned i = 0; i < inputs; i++)
        update(m, &m->counters[places[i]], (unsigned)found, LIMIT);
    return found;
}

#endif
