/* A step of an optimizer in one pass over the weights.
 *
 * NumPy takes six passes for momentum and L2, twelve for Adam. All arithmetic is that of the twin,
 * operation by operation, in single precision: the same weights, bit for bit.
 */
#include <math.h>

#include "deepcompress.h"
#include "platform.h"
#include "tasks.h"
#include "pool/pool.h"

DC_ROUND_PRODUCTS

struct step {
    float *restrict value;
    const float *restrict grad;
    float *restrict first, *restrict second;
    size_t count, tasks;
    float decay;
    const float *numbers; /* of the optimizer, as its function takes them */
};

static void do_sgd(void *context, size_t first, size_t end, size_t thread)
{
    const struct step s = *(const struct step *)context;
    (void)thread;
    const float momentum = s.numbers[0], rate = s.numbers[1];
    const size_t last = dc_begin(s.count, end, s.tasks);
    for (size_t i = dc_begin(s.count, first, s.tasks); i < last; i++) {
        const float grad = s.decay != 0 ? s.grad[i] + s.value[i] * s.decay : s.grad[i];
        const float velocity = s.first[i] * momentum + grad;
        s.first[i] = velocity;
        s.value[i] -= velocity * rate;
    }
}

static void do_adam(void *context, size_t first, size_t end, size_t thread)
{
    const struct step s = *(const struct step *)context;
    (void)thread;
    const float beta1 = s.numbers[0], rest1 = s.numbers[1], beta2 = s.numbers[2];
    const float rest2 = s.numbers[3], root_scale = s.numbers[4], epsilon = s.numbers[5];
    const float rate = s.numbers[6];
    const size_t last = dc_begin(s.count, end, s.tasks);
    for (size_t i = dc_begin(s.count, first, s.tasks); i < last; i++) {
        const float grad = s.decay != 0 ? s.grad[i] + s.value[i] * s.decay : s.grad[i];
        const float mean = s.first[i] * beta1 + grad * rest1;
        const float square = s.second[i] * beta2 + grad * grad * rest2;
        s.first[i] = mean;
        s.second[i] = square;
        s.value[i] -= mean / (sqrtf(square) / root_scale + epsilon) * rate;
    }
}

/* Tasks of many cache lines. */
static size_t tasks_of(size_t count, const struct dc_team *team)
{
    return dc_tasks_of(team, count / 1024 + 1);
}

void dc_step_sgd(float *value, const float *grad, float *velocity, size_t count, float decay,
                 float momentum, float rate, const struct dc_team *team)
{
    const float numbers[] = {momentum, rate};
    struct step s = {value, grad, velocity, NULL, count, tasks_of(count, team), decay, numbers};
    dc_deal(team, s.tasks, do_sgd, &s);
}

void dc_step_adam(float *value, const float *grad, float *mean, float *square, size_t count,
                  float decay, const float *numbers, const struct dc_team *team)
{
    struct step s = {value, grad, mean, square, count, tasks_of(count, team), decay, numbers};
    dc_deal(team, s.tasks, do_adam, &s);
}
