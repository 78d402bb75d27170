/* dc_context_decode, whose streams have one form each; dc_context_encode leads back. Both along a
 * trellis and without one. */
#include "fuzz.h"

#define MOST_ELEMENTS 300

/* Magnitudes of either sign in turns, as long as there are any. */
static struct dc_levels make_levels(unsigned positive, unsigned negative, unsigned trellis)
{
    struct dc_levels levels;
    memset(&levels, 0, sizeof levels);
    levels.trellis = trellis;
    levels.count[0] = positive;
    levels.count[1] = negative;
    unsigned label = 1;
    for (unsigned m = 1; m <= positive || m <= negative; m++)
        for (unsigned side = 0; side < 2; side++)
            if (m <= levels.count[side]) {
                levels.magnitude[label] = (uint8_t)m;
                levels.negative[label] = (uint8_t)side;
                levels.label[side][m] = (uint8_t)label++;
            }
    return levels;
}

static enum dc_status decode(const uint8_t *payload, size_t size, const struct dc_matrix *matrix,
                             const struct dc_levels *levels, uint8_t *labels, size_t *at)
{
    const size_t words = dc_context_words(matrix->cols) * sizeof(uint32_t);
    uint32_t *workspace = exact(words);
    enum dc_status status = dc_context_decode(payload, size, matrix, levels, workspace, labels, at);
    release(workspace, words);
    return status;
}

static size_t encode(const uint8_t *labels, const struct dc_matrix *matrix,
                     const struct dc_levels *levels, uint8_t *payload, size_t capacity)
{
    const size_t words = dc_context_words(matrix->cols) * sizeof(uint32_t);
    uint32_t *workspace = exact(words);
    size_t size =
        dc_context_encode(labels, matrix, levels, workspace, payload, capacity, NULL, NULL);
    release(workspace, words);
    return size;
}

/* Labels of the input, all of which have centroids -> bytes -> the same labels. */
static void there_and_back(struct input *in, const struct dc_matrix *matrix,
                           const struct dc_levels *levels)
{
    size_t count = matrix->rows * matrix->cols, at = SIZE_MAX;
    uint8_t *labels = take_exact(in, count), *decoded = exact(count);
    for (size_t i = 0; i < count; i++)
        labels[i] = (uint8_t)(labels[i] % (levels->count[0] + levels->count[1] + 1));
    for (size_t i; levels->trellis && (i = dc_context_fitting(labels, matrix, levels)) < count;)
        labels[i] = 0;
    size_t size = encode(labels, matrix, levels, NULL, 0);
    require(count <= 4096 * (size + 4));
    uint8_t *payload = exact(size);
    require(encode(labels, matrix, levels, payload, size) == size);
    require(decode(payload, size, matrix, levels, decoded, &at) == DC_OK);
    require(memcmp(labels, decoded, count) == 0);
    if (size && decode(payload, size - 1, matrix, levels, decoded, &at) == DC_OK)
        require(memcmp(labels, decoded, count) != 0);
    release(labels, count);
    release(decoded, count);
    release(payload, size);
}

static void back_and_there(struct input *in, const struct dc_matrix *matrix,
                           const struct dc_levels *levels)
{
    size_t count = matrix->rows * matrix->cols, size = in->left, at = SIZE_MAX;
    uint8_t *payload = take_exact(in, size), *labels = exact(count);
    enum dc_status status = decode(payload, size, matrix, levels, labels, &at);
    require(status == DC_OK || status == DC_TRUNCATED || status == DC_TRAILING ||
            status == DC_BAD_END || status == DC_BAD_LABEL);
    require(at <= (count > size ? count : size));
    if (status == DC_OK) { /* the one form that a reader takes is the one that is written */
        uint8_t *again = exact(size);
        for (size_t i = 0; i < count; i++)
            require(!labels[i] || levels->magnitude[labels[i]]);
        require(!levels->trellis || dc_context_fitting(labels, matrix, levels) == count);
        require(encode(labels, matrix, levels, again, size) == size);
        require(memcmp(payload, again, size) == 0);
        release(again, size);
    }
    release(payload, size);
    release(labels, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    const unsigned shape = take(&in), positive = take(&in), rest = 255 - positive;
    const unsigned negative = rest ? take(&in) % (rest + 1) : 0;
    struct dc_matrix matrix = {take(&in) % 65, take(&in), 1, 1};
    if (matrix.rows * matrix.cols > MOST_ELEMENTS)
        matrix.rows = MOST_ELEMENTS / matrix.cols;
    static const size_t kernels[][2] = {{1, 1}, {9, 3}, {4, 2}, {3, 3}, {6, 1}};
    if (kernels[shape / 2 % 5][0] <= matrix.cols) {
        matrix.kernel = kernels[shape / 2 % 5][0];
        matrix.width = kernels[shape / 2 % 5][1];
    }
    const struct dc_levels levels = make_levels(positive, negative, shape / 10 % 2);
    if (shape % 2)
        there_and_back(&in, &matrix, &levels);
    else
        back_and_there(&in, &matrix, &levels);
    return 0;
}
