/* Labels of all elements, coded by adaptive contexts; `coding/context.py` is the definition.
 *
 * A label is a flag (is it 0?), a sign, and a magnitude, which is its rank among the centroids of
 * its sign: how many digits it has, in unary, then the digits. */
#include "context/model.h"

/* 2**16 / (1 + exp(-x)) at x = 0, 1/2, 1 … 8, rounded. */
static const int32_t knots[KNOTS] = {32768, 40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357,
                                     64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514};

static void prepare(struct context_model *m, const struct dc_levels *levels)
{
    for (int x = 0; x <= SQUASH_SIDE; x++) {
        const int at = x >> 7, rest = x & 127;
        const int32_t p = (knots[at] * (128 - rest) + knots[at + 1] * rest + 64) >> 7;
        m->squash[SQUASH_SIDE + x] = p;
        m->squash[SQUASH_SIDE - x] = 65536 - p;
    }
    for (int t = 0, x = 0; t < 4096; t++) {
        while (x < 2 * SQUASH_SIDE && m->squash[x] < 16 * t + 8)
            x++;
        m->stretch[t] = x - SQUASH_SIDE;
    }
    for (uint32_t n = 0; n < RATES; n++)
        m->rate[n] = 131072 / (2 * n + 3);
    for (size_t i = 0; i < COUNTERS; i++)
        m->counters[i] = FIRST_COUNTER;
    for (size_t i = 0; i < SETS * SET_WORDS; i++)
        m->weights[i] = i % SET_WORDS == SET_WORDS - 1 ? 0 : FIRST_WEIGHT;
    for (unsigned set = 0; set < SETS; set++)
        m->weights[set * SET_WORDS + (set < 8 || set >= ODD_SET ? FLAG_INPUTS
                                      : set == 8                ? SIGN_INPUTS
                                                                : MAGNITUDE_INPUTS)] = 0;
    for (unsigned label = 0; label < 256; label++) {
        const unsigned a = (levels->magnitude[label] + levels->trellis) >> levels->trellis;
        const unsigned category = a < 3 ? a : digits(a) + 1;
        m->category[label] = (uint8_t)(category < 7 ? category : 7);
        m->sign[label] = (uint8_t)(a ? 1 + levels->negative[label] : 0);
    }
}

static inline unsigned density(const struct context_model *m, uint32_t counter)
{
    const int q = (m->stretch[counter >> 20] + 2048) >> 7;
    return (unsigned)(q < 0 ? 0 : q > 31 ? 31 : q);
}

struct near_sizes {
    unsigned alone, left, above, sum; /* its sign and state, and the magnitudes nearby */
};

static inline int decide_magnitude(struct context_model *m, struct context_coder *c,
                                   struct near_sizes near, unsigned node, unsigned bit, int decoding)
{
    const uint32_t places[] = {
        MAGNITUDE_ALONE + near.alone * NODES + node,
        MAGNITUDE_LEFT + node * 64 + near.left,
        MAGNITUDE_ABOVE + node * 64 + near.above,
        MAGNITUDE_SUM + node * 64 + near.sum,
    };
    return decide(m, c, places, MAGNITUDE_INPUTS, 9 + node, bit, decoding);
}

/* A magnitude of 1 .. most, of which `wanted` is to be written; -1 if the stream has ended. */
static inline int code_magnitude(struct context_model *m, struct context_coder *c,
                                 struct near_sizes near, unsigned most, unsigned wanted,
                                 int decoding)
{
    const unsigned longest = digits(most) - 1;
    unsigned rest = 0; /* digits after the first */
    while (rest < longest) {
        const int found = decide_magnitude(m, c, near, rest, wanted >> (rest + 1) > 0, decoding);
        if (found < 0)
            return found;
        if (!found)
            break;
        rest++;
    }
    unsigned value = 1;
    for (unsigned digit = rest; digit-- > 0;) {
        const unsigned node = 8 + 16 * rest + (value < 8 ? value : 8 + digit);
        int found = 0;
        if ((2 * value + 1) << digit <= most) { /* else it can only be 0 */
            found = decide_magnitude(m, c, near, node, wanted >> digit & 1, decoding);
            if (found < 0)
                return found;
        }
        value = 2 * value + (unsigned)found;
    }
    return (int)value;
}

/* Codes all labels; the element at which the stream ends, or has a label without a centroid, or
 * their number. Along a trellis, magnitudes are numbers. */
static inline size_t code_labels(struct context_model *m, struct context_coder *c,
                                 const struct dc_matrix *matrix, const struct dc_levels *levels,
                                 uint32_t *columns, uint8_t *labels, uint32_t *costs,
                                 enum dc_status *status, int decoding, unsigned trellis)
{
    const size_t cols = matrix->cols;
    const int is_kernel = matrix->kernel > 1;
    const size_t up = is_kernel ? matrix->width : 2 * cols;
    const size_t back = is_kernel ? matrix->kernel : cols + 1;
    uint32_t whole = FIRST_COUNTER;
    for (size_t col = 0; col < cols; col++)
        columns[col] = FIRST_COUNTER;
    size_t i = 0;
    for (size_t row = 0; row < matrix->rows; row++) {
        const unsigned row_class = digits(row) < 7 ? digits(row) : 7;
        const uint32_t known = whole & 1023;
        uint32_t in_row = (whole & ~UINT32_C(1023)) | (known < ROW_HEAD_START ? known : ROW_HEAD_START);
        unsigned state = TRELLIS_START; /* stays, without a trellis */
        for (size_t col = 0; col < cols; col++, i++) {
            const uint8_t *here = labels + i;
            /* W, WW, N, NE, NW, A, B: label 0 beyond the edges. */
            const uint8_t near_labels[7] = {
                col > 0 ? here[-1] : 0,
                col > 1 ? here[-2] : 0,
                row ? labels[i - cols] : 0,
                row && col + 1 < cols ? labels[i - cols + 1] : 0,
                row && col ? labels[i - cols - 1] : 0,
                (is_kernel ? col >= up : row > 1) ? labels[i - up] : 0,
                (is_kernel ? col >= back : row && col) ? labels[i - back] : 0,
            };
            uint8_t near[7];
            unsigned flags = 0;
            for (unsigned k = 0; k < 7; k++) {
                near[k] = m->category[near_labels[k]];
                flags |= (unsigned)(near[k] > 0) << k;
            }
            const uint32_t own = columns[col];
            const uint32_t around = (uint32_t)(((uint64_t)columns[col ? col - 1 : col] + 2 * (uint64_t)own +
                                                columns[col + 1 < cols ? col + 1 : col]) >>
                                               2);
            const unsigned row_density = density(m, in_row);
            const uint32_t flag_places[] = {
                FLAG_COLUMN + density(m, own) * 8 + row_class,
                FLAG_SIZES + state * 512 + near[0] * 64u + near[5] * 8u + near[6],
                FLAG_NEAR + flags * 8 + row_density / 4,
                FLAG_DENSITY + density(m, around) * 32 + row_density,
                FLAG_ABOVE + near[1] * 64u + near[2] * 8u + near[3],
            };
            const unsigned odd = state & 1, set = row_class + odd * ODD_SET;
            const unsigned wanted =
                decoding ? 0 : (levels->magnitude[*here] + trellis) >> trellis;
            const int flag = decide(m, c, flag_places, FLAG_INPUTS, set, wanted > 0, decoding);
            if (flag < 0)
                return i;
            unsigned label = 0;
            int magnitude = 0;
            if (flag) {
                const unsigned most[2] = {(levels->count[0] + odd) >> trellis,
                                          (levels->count[1] + odd) >> trellis};
                int side = decoding ? 0 : levels->negative[*here];
                if (most[0] && most[1]) {
                    uint8_t signs[7];
                    for (unsigned k = 0; k < 7; k++)
                        signs[k] = m->sign[near_labels[k]];
                    const uint32_t places[] = {SIGN_NEAR + signs[0] * 9u + signs[2] * 3u + signs[5],
                                               SIGN_FAR + signs[1] * 3u + signs[6], SIGN_ALONE};
                    side = decide(m, c, places, SIGN_INPUTS, 8, (unsigned)side, decoding);
                    if (side < 0)
                        return i;
                } else if (most[0] || most[1])
                    side = most[0] == 0;
                else {
                    *status = DC_BAD_LABEL;
                    return i;
                }
                const struct near_sizes sizes = {
                    2u * odd + (unsigned)side,
                    near[0] * 8u + near[5],
                    near[6] * 8u + near[2],
                    2u * near[0] + near[1] + near[2] + near[5] + near[6],
                };
                magnitude = code_magnitude(m, c, sizes, most[side], wanted, decoding);
                if (magnitude < 0)
                    return i;
                label = levels->label[side][((unsigned)magnitude << trellis) - odd];
            }
            if (decoding)
                labels[i] = (uint8_t)label;
            if (trellis)
                state = trellis_following(state, (unsigned)magnitude);
            if (costs) {
                costs[i] = c->cost < UINT32_MAX ? (uint32_t)c->cost : UINT32_MAX;
                c->cost = 0;
            }
            update(m, &columns[col], (unsigned)flag, COLUMN_LIMIT);
            update(m, &in_row, (unsigned)flag, ROW_LIMIT);
            update(m, &whole, (unsigned)flag, LIMIT);
        }
    }
    return i;
}

/* The fewest bytes, and their value with zeros behind, that lie within low .. high. */
static unsigned ending(const struct context_coder *c, uint32_t *value)
{
    for (unsigned bytes = 0; bytes < 4; bytes++) {
        const uint64_t rest = (UINT64_C(1) << (32 - 8 * bytes)) - 1;
        const uint64_t first = (c->low + rest) & ~rest;
        if (first <= c->high) {
            *value = (uint32_t)first;
            return bytes;
        }
    }
    *value = c->low;
    return 4;
}

size_t dc_context_fitting(const uint8_t *labels, const struct dc_matrix *matrix,
                          const struct dc_levels *levels)
{
    size_t i = 0;
    for (size_t row = 0; row < matrix->rows; row++) {
        unsigned state = TRELLIS_START;
        for (size_t col = 0; col < matrix->cols; col++, i++) {
            const unsigned magnitude = levels->magnitude[labels[i]];
            if (magnitude && (magnitude ^ state) & 1)
                return i;
            state = trellis_following(state, (magnitude + 1) / 2);
        }
    }
    return i;
}

size_t dc_context_words(size_t cols)
{
    return (sizeof(struct context_model) + 3) / 4 + cols;
}

size_t dc_context_encode(const uint8_t *labels, const struct dc_matrix *matrix,
                         const struct dc_levels *levels, uint32_t *workspace, uint8_t *payload,
                         size_t capacity, const uint32_t *prices, uint32_t *costs)
{
    struct context_model *m = (struct context_model *)(void *)workspace;
    uint32_t *columns = workspace + dc_context_words(0);
    struct context_coder c = {.high = UINT32_MAX, .payload = payload, .size = capacity,
                              .prices = prices};
    enum dc_status status = DC_OK;
    if (!matrix->rows || !matrix->cols)
        return 0;
    prepare(m, levels);
    /* Nothing is written to the labels where `decoding` is 0. */
    uint8_t *unchanged = (uint8_t *)labels;
    if (levels->trellis)
        code_labels(m, &c, matrix, levels, columns, unchanged, costs, &status, 0, 1);
    else
        code_labels(m, &c, matrix, levels, columns, unchanged, costs, &status, 0, 0);
    uint32_t value;
    const unsigned bytes = ending(&c, &value);
    for (unsigned k = 0; k < bytes; k++, c.at++)
        if (c.at < capacity)
            payload[c.at] = (uint8_t)(value >> (24 - 8 * k));
    return c.at;
}

enum dc_status dc_context_decode(const uint8_t *payload, size_t size,
                                 const struct dc_matrix *matrix, const struct dc_levels *levels,
                                 uint32_t *workspace, uint8_t *labels, size_t *at)
{
    struct context_model *m = (struct context_model *)(void *)workspace;
    uint32_t *columns = workspace + dc_context_words(0);
    struct context_coder c = {.high = UINT32_MAX, .stream = payload, .size = size};
    enum dc_status status = DC_TRUNCATED;
    *at = 0;
    if (!matrix->rows || !matrix->cols)
        return size ? DC_TRAILING : DC_OK;
    prepare(m, levels);
    for (size_t k = 0; k < 4; k++)
        c.code = c.code << 8 | (k < size ? payload[k] : 0);
    *at = levels->trellis
              ? code_labels(m, &c, matrix, levels, columns, labels, NULL, &status, 1, 1)
              : code_labels(m, &c, matrix, levels, columns, labels, NULL, &status, 1, 0);
    if (*at < matrix->rows * matrix->cols)
        return status;
    uint32_t value;
    const unsigned bytes = ending(&c, &value);
    if (size - c.at < bytes)
        return DC_TRUNCATED;
    *at = c.at;
    if (size - c.at > bytes)
        return DC_TRAILING;
    return c.code == value ? DC_OK : DC_BAD_END;
}
