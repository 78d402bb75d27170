/* A stack of fully connected layers, forward and backward, for all shards of a mini-batch at once.
 *
 * A shard is the work of one thread; the twin gives shards to Python's threads, which wait for each other
 * at the interpreter's lock before and after each of its many short operations. Products are those
 * of NumPy's BLAS, called as numpy.matmul calls it, all else is the twin's arithmetic operation by
 * operation: the same gradients, bit for bit.
 */
#include "deepcompress.h"
#include "platform.h"
#include "tasks.h"
#include "pool/pool.h"

DC_ROUND_PRODUCTS

enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 }; /* of CBLAS */

struct pass {
    dc_sgemm *sgemm;
    const struct dc_dense *layers;
    size_t depth, shards, tasks;
};

/* c = a b, of (m, k) and (k, n), either of which may lie there transposed. */
static void multiply(dc_sgemm *sgemm, int64_t m, int64_t n, int64_t k, const float *a,
                     int is_a_transposed, const float *b, int is_b_transposed, float *c)
{
    sgemm(ROW_MAJOR, is_a_transposed ? TRANSPOSED : PLAIN, is_b_transposed ? TRANSPOSED : PLAIN, m,
          n, k, 1, a, is_a_transposed ? m : k, b, is_b_transposed ? k : n, 0, c, n);
}

static void layer_forward(dc_sgemm *sgemm, const struct dc_dense *l)
{
    multiply(sgemm, l->outputs, l->batch, l->inputs, l->weight, 0, l->x, l->is_x_transposed, l->y);
    const int64_t batch = l->batch, count = l->outputs * batch;
    float *restrict y = l->y;
    for (int64_t i = 0; i < count; i += batch)
        for (int64_t j = i; j < i + batch; j++)
            y[j] += l->bias[i / batch];
    if (l->has_relu)
        for (int64_t i = 0; i < count; i++)
            y[i] = y[i] <= 0 ? 0 : y[i]; /* NaN stays */
    if (l->scale)
        for (int64_t i = 0; i < count; i++)
            y[i] *= l->scale[i];
}

/* From the gradient of y to those of the weight, and of the output of the layer `before`. */
static void layer_backward(dc_sgemm *sgemm, const struct dc_dense *l,
                           const struct dc_dense *before)
{
    multiply(sgemm, l->outputs, l->inputs, l->batch, l->dy, 0, l->x, !l->is_x_transposed,
             l->dweight);
    if (!before)
        return;
    multiply(sgemm, l->inputs, l->batch, l->outputs, l->weight, 1, l->dy, 0, before->dy);
    const int64_t count = before->outputs * before->batch;
    float *restrict dx = before->dy;
    if (before->scale)
        for (int64_t i = 0; i < count; i++)
            dx[i] *= before->scale[i];
    if (before->has_relu)
        for (int64_t i = 0; i < count; i++)
            dx[i] *= before->y[i] > 0 ? 1.0f : 0.0f; /* as y is scaled by nothing below 0 */
}

static void forward(void *context, size_t first, size_t end, size_t thread)
{
    const struct pass *p = context;
    (void)thread;
    for (size_t shard = first; shard < end; shard++)
        for (size_t l = 0; l < p->depth; l++)
            layer_forward(p->sgemm, p->layers + shard * p->depth + l);
}

static void backward(void *context, size_t first, size_t end, size_t thread)
{
    const struct pass *p = context;
    (void)thread;
    for (size_t shard = first; shard < end; shard++)
        for (size_t l = p->depth; l-- > 0;) {
            const struct dc_dense *layer = p->layers + shard * p->depth + l;
            layer_backward(p->sgemm, layer, l ? layer - 1 : NULL);
        }
}

/* The gradients of the first shard become those of all, in the order of the shards. */
static void add(void *context, size_t first, size_t end, size_t thread)
{
    const struct pass *p = context;
    (void)thread;
    for (size_t l = 0; l < p->depth; l++) {
        const size_t count = (size_t)(p->layers[l].outputs * p->layers[l].inputs);
        const size_t begin = dc_begin(count, first, p->tasks), last = dc_begin(count, end, p->tasks);
        float *restrict sum = p->layers[l].dweight;
        for (size_t shard = 1; shard < p->shards; shard++) {
            const float *restrict own = p->layers[shard * p->depth + l].dweight;
            for (size_t i = begin; i < last; i++)
                sum[i] += own[i];
        }
    }
}

void dc_stack_forward(dc_sgemm *sgemm, const struct dc_dense *layers, size_t depth, size_t shards,
                      const struct dc_team *team)
{
    struct pass p = {sgemm, layers, depth, shards, shards};
    dc_deal(team, shards, forward, &p);
}

void dc_stack_backward(dc_sgemm *sgemm, const struct dc_dense *layers, size_t depth, size_t shards,
                       const struct dc_team *team)
{
    struct pass p = {sgemm, layers, depth, shards, shards};
    dc_deal(team, shards, backward, &p);
    p.tasks = dc_threads_of(team);
    dc_deal(team, p.tasks, add, &p);
}
