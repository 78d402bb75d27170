/* Products of the cases that products.py wrote, by every instruction set that there is here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/* As products.py packs it; what follows is in the order of `struct test`. */
struct head {
    int64_t rows, cols, n, centroids, kind, gap_bits, label_bits, data_bytes, parts, lanes;
};

struct test {
    float *codebook;
    uint8_t *data;
    uint64_t *starts;
    uint32_t *order;
    float *x;
    double *y, *bounds; /* what y should be, and how far from it at most */
};

static void *read_exact(FILE *file, size_t size)
{
    void *data = exact(size);
    require(fread(data, 1, size, file) == size);
    return data;
}

/* y by so many threads, of which each has scratch memory of its own. */
static void multiply(enum dc_isa isa, const struct dc_layout *w, const float *x, size_t n,
                     float *y, size_t threads)
{
    const struct dc_team team = team_of(threads);
    const size_t bytes = threads * dc_spmm_scratch(isa, w);
    void *scratch = exact(bytes);
    if (n == 1)
        require(dc_spmv_shared(isa, w, x, y, &team) == DC_OK);
    else
        require(dc_spmm_shared(isa, w, x, n, y, n, n, &team, scratch) == DC_OK);
    release(scratch, bytes);
}

static void check(enum dc_isa isa, const struct dc_layout *w, const struct test *t, size_t n)
{
    const size_t count = (size_t)w->rows * n, bytes = count * sizeof(float);
    float *whole = exact(bytes), *shared = exact(bytes);
    multiply(isa, w, t->x, n, whole, 1);
    multiply(isa, w, t->x, n, shared, 3);
    require(memcmp(whole, shared, bytes) == 0);
    if (isa == DC_NEON && n == 1) { /* which adds in the order of portable kernels, and rounds as they do */
        multiply(DC_SCALAR, w, t->x, n, shared, 1);
        require(memcmp(whole, shared, bytes) == 0);
    }
    for (size_t i = 0; i < count; i++)
        if (!(fabs(whole[i] - t->y[i]) <= t->bounds[i])) {
            printf("%s, W of %lld x %lld, layout %d, gaps of %d bits, labels of %d, %zu columns: "
                   "element %zu is %g instead of %g\n", dc_isa_name(isa), (long long)w->rows, (long long)w->cols,
                   w->kind, w->gap_bits, w->label_bits, n, i, whole[i], t->y[i]);
            exit(1);
        }
    release(whole, bytes);
    release(shared, bytes);
}

int main(int argc, char **argv)
{
    require(argc == 2);
    FILE *file = fopen(argv[1], "rb");
    require(file);
    struct head h;
    size_t cases = 0;
    for (; fread(&h, sizeof h, 1, file) == 1; cases++) {
        const size_t n = (size_t)h.n, of_x = (size_t)h.cols * n, of_y = (size_t)h.rows * n;
        struct test t;
        t.codebook = read_exact(file, (size_t)h.centroids * sizeof *t.codebook);
        t.data = read_exact(file, (size_t)h.data_bytes);
        t.starts = read_exact(file, (size_t)(h.parts + 1) * sizeof *t.starts);
        t.order = read_exact(file, (size_t)h.lanes * sizeof *t.order);
        t.x = read_exact(file, of_x * sizeof *t.x);
        t.y = read_exact(file, of_y * sizeof *t.y);
        t.bounds = read_exact(file, of_y * sizeof *t.bounds);
        const struct dc_layout w = {(enum dc_layout_kind)h.kind, h.rows, h.cols, t.codebook,
                                    t.data, t.starts, t.order, (uint32_t)h.centroids,
                                    (uint8_t)h.gap_bits, (uint8_t)h.label_bits};
        for (int isa = 0; isa < DC_ISA_COUNT; isa++)
            if (dc_isa_available((enum dc_isa)isa))
                check((enum dc_isa)isa, &w, &t, n);
        release(t.codebook, (size_t)h.centroids * sizeof *t.codebook);
        release(t.data, (size_t)h.data_bytes);
        release(t.starts, (size_t)(h.parts + 1) * sizeof *t.starts);
        release(t.order, (size_t)h.lanes * sizeof *t.order);
        release(t.x, of_x * sizeof *t.x);
        release(t.y, of_y * sizeof *t.y);
        release(t.bounds, of_y * sizeof *t.bounds);
    }
    fclose(file);
    printf("%zu products, by", cases);
    for (int isa = 0; isa < DC_ISA_COUNT; isa++)
        if (dc_isa_available((enum dc_isa)isa))
            printf(" %s", dc_isa_name((enum dc_isa)isa));
    printf("\n");
    return cases == 0;
}
