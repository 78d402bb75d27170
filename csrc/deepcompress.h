/* The C kernels of deepcompress: codecs, validation and products with packed tensors.
 *
 * Every function has a NumPy twin of the same stem in the Python package, which
 * defines what it computes. What holds for all of them:
 *
 * - They read and write exactly the elements that their contract names, nothing
 *   beyond the end, and keep no pointer. Inputs and outputs must not overlap.
 *   Memory belongs to the caller; nothing is allocated, but for pools of threads.
 * - There is no mutable state but that of pools: they may run at once in any number of threads.
 * - Only what comes from files is checked, and reported by a status. Arguments
 *   are the caller's responsibility.
 *
 * Packed values: value i of width b occupies bits [i*b, (i+1)*b) of a bit string
 * that fills bytes from the least significant bit; unused bits of the last byte
 * are zero. Eight values of b bits take exactly b bytes.
 *
 * The region between the marker comments is also read by cffi, so it has nothing
 * but plain declarations.
 */
#ifndef DEEPCOMPRESS_H
#define DEEPCOMPRESS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* cdef begins */

enum dc_status {
    DC_OK = 0,
    DC_TRUNCATED,    /* the coded bits end before the last symbol */
    DC_BAD_CODE,     /* a bit pattern has no symbol */
    DC_TRAILING,     /* whole bytes follow the last symbol */
    DC_BAD_PADDING,  /* an unused bit of the last byte is set */
    DC_BAD_POSITION, /* an entry lies outside its tensor */
    DC_BAD_LABEL,    /* a label has no centroid */
    DC_BAD_START,    /* the first state of the coder is out of range */
    DC_BAD_END,      /* the last state of the coder isn't the lowest */
    DC_NO_ISA,       /* this processor or build lacks the instruction set */
    DC_STATUS_COUNT
};

/* One sentence for a status, without a full stop; static. */
const char *dc_strerror(enum dc_status status);

/* The compiler that built this, with its version; static. */
const char *dc_compiler(void);

/* Instruction sets that may be used, in ascending order; the caller holds the choice. */
enum dc_isa {
    DC_SCALAR = 0,
    DC_NEON,
    DC_AVX2,   /* with FMA, BMI, BMI2 and LZCNT */
    DC_AVX512, /* F, BW, VL, VBMI and VBMI2 */
    DC_ISA_COUNT
};

/* The name of an instruction set in lower case; static. */
const char *dc_isa_name(enum dc_isa isa);

/* 1 if this build has the instruction set and this processor and system run it, else 0. */
int dc_isa_available(enum dc_isa isa);

enum dc_product { DC_VECTOR_PRODUCT = 0, DC_MATRIX_PRODUCT, DC_CONVOLUTION };

/* The name of the instruction set whose kernel a product of a sparse matrix gets, given the one in
 * use, which may lack one of its own; static. */
const char *dc_kernel_name(enum dc_product product, enum dc_isa isa);

/* Threads that wait for work; pool/pool.c tells how. */
struct dc_pool;

/* Who does a piece of work: the calling thread, and workers of the pool that are free and whose help
 * is worth more than it costs. NULL in place of a team is the calling thread alone. No result depends
 * on it. Any number of threads may call with the same pool; none waits for another's work. */
struct dc_team {
    struct dc_pool *pool; /* may be NULL */
    size_t threads;       /* at most, the calling one included; at least 1 */
    double nanoseconds;   /* that one thread would take, about */
};

/* pool: 1 if this build has threads, else 0, and then there are no pools. */
int dc_has_threads(void);

/* pool: a pool with room for `workers`, which are started when they are wanted for the first time.
 * NULL where there are no threads or no memory. Memory is the pool's own, and no signal is handled by
 * its threads. In a process that was forked it does no harm, and has no workers. */
struct dc_pool *dc_pool_create(size_t workers);

/* pool: how many processors the process has for all its threads, and for how many nanoseconds a
 * worker looks for more work before it sleeps; 0 at first, as is best where there are fewer
 * processors than threads. */
void dc_pool_tune(struct dc_pool *pool, size_t processors, uint64_t spin);

/* pool: ends the workers of a pool that nobody uses any more. Not needed before a process ends. */
void dc_pool_destroy(struct dc_pool *pool);

/* What a pool has done since it was made, and what it knows, in nanoseconds. */
struct dc_pool_report {
    size_t threads;      /* workers that were started */
    uint64_t shared;     /* pieces of work that workers took part in */
    uint64_t woken;      /* for which some were woken */
    uint64_t refused;    /* by workers, who were to run in the caller's place */
    uint64_t held_up;    /* at whose end the caller had to wait for long */
    uint64_t latency;    /* of waking a worker */
    int64_t debt, wake_debt;
};

/* pool: reports, while the pool is in use. NULL has done nothing. */
void dc_pool_report(const struct dc_pool *pool, struct dc_pool_report *report);

/* bits: `count` values, each below 2**bits, 1 <= bits <= 8, into
 * ceil(count * bits / 8) bytes, and back. */
void dc_pack(const uint8_t *values, size_t count, unsigned bits, uint8_t *packed);
void dc_unpack(const uint8_t *packed, size_t count, unsigned bits, uint8_t *values);

/* quantize: n + 1 sums; those from i to j - 1 of the n terms sum up to sums[j] - sums[i]. They
 * begin with 0 at `zero` <= n and run outward from there. */
void dc_outward_sums(const double *terms, size_t n, size_t zero, double *sums);

/* quantize: moves the centroids of `clusters` >= 1 clusters of n values in ascending order,
 * cluster i being ordered[borders[i] .. borders[i + 1] - 1], to the means of their members,
 * and gives each value to the nearest of them (of two the lower one, or the upper one if
 * `upper` isn't 0), again and again. sums[j] - sums[i] is the sum of the values from i to
 * j - 1, each times its weight, and masses[j] - masses[i] that of the weights; all weigh 1
 * where masses is NULL. Returns after `limit` >= 1 such moves, or as soon as no value has
 * changed its cluster or a cluster has become empty, how often it moved them. `centroids` are
 * then where they are and `borders` those that they are the means of, clusters + 1 like
 * `next`, which is scratch. No cluster is empty at the start. */
size_t dc_lloyd(const double *ordered, const double *sums, const double *masses, size_t n,
                size_t clusters, size_t limit, int upper, int64_t *borders, int64_t *next,
                double *centroids);

/* quantize: the moments of n values in ascending order, those from `zero` on being >= 0: n + 1
 * sums of weights, of weights times values, and times squares of values, each as n + 1 high
 * and n + 1 low parts, and the numbers 0 to n. The sums are 0 at `zero`, and before that minus
 * what lies between. */
void dc_moments(const double *values, const double *weights, size_t n, size_t zero,
                double *moments);

/* quantize: for each row, of rows_first .. rows_last, the least sum of what a border has in
 * `before` and the cost of the cluster from there to the row, and the lowest border that has it.
 * Borders are window_first .. window_last, before[0] being the first one's, but at least `apart`
 * before the row. The cluster begins `skip` behind the border, and costs nothing if that isn't
 * before the row. It costs the sum of squared distances from its mean, by differences of its
 * end's and its begin's in the seven rows of `stride` moments, as dc_moments gives them; nothing
 * if it is of one value, the numbers being 1 apart. Best borders don't move down from row to row. Each row
 * has a border; no sum overflows. */
void dc_best_borders(const double *moments, size_t stride, size_t skip, size_t apart,
                     const double *before, size_t window_first, size_t window_last,
                     size_t rows_first, size_t rows_last, double *least, int64_t *borders);

/* quantize: labels[i] is how many of the 2**depth - 1 bounds, in ascending order, lie below
 * values[i]; depth is at most 8. No value is NaN. */
void dc_assign(const float *values, size_t count, const double *bounds, unsigned depth,
               uint8_t *labels);

/* calibrate: for each row of `cols` weights and a bias, cols + 1 numbers, the label of each weight: of
 * `count` levels, at most 256, the first one with the least of
 * matters[row] * (w[i] - level)**2 / factor[i][i]**2 + rate. The weight becomes the level, and those
 * behind it lose (w[i] - level) / factor[i][i] * factor[i][j]. `factor` is upper triangular, of
 * cols + 1 rows, with a positive diagonal. Rows are dealt out to the team. */
void dc_sweep(double *weights, size_t rows, size_t cols, const double *factor,
              const double *matters, const double *levels, const double *rates, size_t count,
              uint8_t *labels, const struct dc_team *team);

/* calibrate: each weight in turn takes the level with the least of
 * matters[row] * hessian[i][i] * (w[i] - slopes[i] / hessian[i][i] - level)**2 + rate; then the bias
 * w[cols] the best value of all. The slopes, cols + 1 for each row, gain each change times
 * hessian[i], a row of the symmetric matrix. */
void dc_descend(double *weights, double *slopes, size_t rows, size_t cols, const double *hessian,
                const double *matters, const double *levels, const double *rates, size_t count,
                uint8_t *labels, const struct dc_team *team);

/* calibrate: for each row of `cols` weights and a bias, the labels of the cheapest path through the
 * trellis, as dc_sweep charges for a weight. `rates` has 2 rows of `count` levels, which ascend and of
 * which the one at `zero` is 0: what a label costs in an even state, and in an odd one. Of equal costs,
 * the first level, and the first state, counts. Weights of columns that are `idle` become 0 at no
 * cost. `scratch` has dc_trellis_scratch(cols) bytes for each
 * thread of the team, to which rows are dealt out. */
size_t dc_trellis_scratch(size_t cols);

void dc_trellis_sweep(const double *weights, size_t rows, size_t cols, const double *factor,
                      const double *matters, const double *levels, const double *rates,
                      size_t count, size_t zero, const uint8_t *idle, uint8_t *labels,
                      void *scratch, const struct dc_team *team);

/* calibrate: the same, as dc_descend charges for a weight: the cheapest path of those on which the
 * weights behind each one stay as they are. The bias stays as well. */
void dc_trellis_descend(const double *weights, const double *slopes, size_t rows, size_t cols,
                        const double *hessian, const double *matters, const double *levels,
                        const double *rates, size_t count, size_t zero, const uint8_t *idle,
                        uint8_t *labels, void *scratch, const struct dc_team *team);

/* calibrate: the labels of rows of `cols` targets, from the first to the last: of `count` levels,
 * ascending, at most 256, the one with the least of costs[i] * (w - level)**2 + charged. Here w is the
 * target plus e * other[j] of each error e = w - level before it in its row, of column j; but
 * e * same[j] in its own channel, of `positions` columns. Rows are dealt out to the team. */
void dc_expected_sweep(const float *targets, size_t rows, size_t cols, size_t positions,
                       const double *costs, const double *same, const double *other,
                       const double *levels, const double *charged, size_t count, uint8_t *labels,
                       const struct dc_team *team);

/* calibrate: each weight in turn takes the level with the least of (w - level)**2 + charged, where w is
 * the target plus (shared + alike) * its error, less alike * the sum of errors of its channel and
 * shared * that of its row, by the labels as they are then. */
void dc_expected_descend(const float *targets, size_t rows, size_t cols, size_t positions,
                         double shared, double alike, const double *levels, const double *charged,
                         size_t count, uint8_t *labels, const struct dc_team *team);

/* nn: a step of gradient descent with momentum and L2, for each of `count` weights:
 * g = grad + value * decay, unless decay is 0; velocity = velocity * momentum + g;
 * value = value - velocity * rate. Weights are dealt out to the team; arrays don't overlap. */
void dc_step_sgd(float *value, const float *grad, float *velocity, size_t count, float decay,
                 float momentum, float rate, const struct dc_team *team);

/* nn: a step of Adam, likewise, given beta1, 1 - beta1, beta2, 1 - beta2, c, epsilon, rate:
 * mean = mean * beta1 + g * (1 - beta1); square = square * beta2 + g * g * (1 - beta2);
 * value = value - mean / (sqrt(square) / c + epsilon) * rate. */
void dc_step_adam(float *value, const float *grad, float *mean, float *square, size_t count,
                  float decay, const float *numbers, const struct dc_team *team);

/* cblas_sgemm with integers of 64 bits. */
typedef void dc_sgemm(int order, int a_transposed, int b_transposed, int64_t m, int64_t n,
                      int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                      int64_t ldb, float beta, float *c, int64_t ldc);

/* A fully connected layer and what follows it, for a shard of `batch` columns:
 * y = scale * max(weight x + bias, 0), the maximum only if there is a ReLU, and scale unless it is
 * NULL, which has the factors of dropout. */
struct dc_dense {
    int64_t inputs, outputs, batch;
    const float *weight, *bias; /* (outputs, inputs), (outputs) */
    const float *x;             /* (inputs, batch), or transposed */
    const float *scale;         /* (outputs, batch) */
    float *y, *dy;              /* (outputs, batch) */
    float *dweight;             /* (outputs, inputs) */
    int32_t is_x_transposed, has_relu;
};

/* nn: y of each of `depth` layers, for each shard in turn. The shards are dealt out to the team;
 * `sgemm` may be called from several threads at once. No side of a product is below 2. */
void dc_stack_forward(dc_sgemm *sgemm, const struct dc_dense *layers, size_t depth, size_t shards,
                      const struct dc_team *team);

/* nn: after that, given dy of the last layers: dy of all before, by weight x + bias, and dweight, of
 * which the first shard's becomes the sum of all. */
void dc_stack_backward(dc_sgemm *sgemm, const struct dc_dense *layers, size_t depth, size_t shards,
                       const struct dc_team *team);

/* planes: byte p of word i, the lowest first, becomes planes[p * count + i]; words are little endian
 * integers of word_bytes, 1, 2, 4 or 8, and are rotated left by a bit before if `rotate`.
 * dc_merge_planes goes the way back, from planes[p][i]. */
void dc_split_planes(enum dc_isa isa, const uint8_t *words, size_t count, unsigned word_bytes,
                     int rotate, uint8_t *planes);
void dc_merge_planes(enum dc_isa isa, const uint8_t *const *planes, size_t count,
                     unsigned word_bytes, int rotate, uint8_t *words);

/* A tensor in planes: `data` are all its chunks and their CRCs as a file has them. */
struct dc_planes {
    const uint8_t *data;
    size_t size;
    uint32_t header_crc; /* of its header */
    unsigned word_bytes; /* 1, 2, 4 or 8 */
    uint64_t words;      /* at most 64 * size */
    int is_float;        /* words are rotated, unless the head says that they aren't */
    int may_stay;        /* the head may say so */
    int is_bool;         /* words are 0 or 1 */
    uint8_t *words_out;  /* words * word_bytes */
    int is_valid;        /* of decoding */
};

/* planes: decodes tensors by a team. Those that are valid, whose planes have no coder but
 * Huffman's, and whose blocks have at most 2**16 words, become their words and are told to be valid;
 * of others, anything may be written to their words. No byte of the data is trusted. `scratch` has
 * room for dc_planes_scratch bytes for each thread, aligned to 64 bytes. */
void dc_planes_decode(enum dc_isa isa, struct dc_planes *tensors, size_t count,
                      const struct dc_team *team, void *scratch);
size_t dc_planes_scratch(size_t count);

/* Words that become planes, and how these are coded. There are `words` > 0 of them, little endian;
 * `blocks` is how many blocks of 2**block_bits words they make. */
struct dc_plane_codes {
    const uint8_t *data;
    size_t words;
    unsigned word_bytes; /* 1, 2, 4 or 8 */
    int rotate;
    unsigned block_bits; /* at most 31 */
    size_t least_gain;   /* a plane is coded if it shrinks by this part */
    uint8_t *scratch;    /* for each thread dc_plane_codes_scratch */
    uint32_t *counts;    /* 256 for each plane of each block */
    uint64_t *block_bytes; /* of each plane of each block */
    uint8_t coders[8];     /* 1 for a Huffman code */
    size_t table_bytes[8];
    uint8_t lengths[2048]; /* 256 for each plane */
    uint8_t tables[4096];  /* room for 512 bytes for each plane */
};

/* planes: bytes of scratch memory for a thread. */
size_t dc_plane_codes_scratch(const struct dc_plane_codes *codes);

/* planes: fills `counts` and all that follows it; `table_bytes` are 0 before. */
void dc_plane_codes_choose(enum dc_isa isa, struct dc_plane_codes *codes,
                           const struct dc_team *team);

/* planes: writes the chunks of the tensor and their CRCs as a file has them: its head, which is given
 * with the code tables, and the planes of each block, as many bytes as `block_bytes` say. `header_crc`
 * is the CRC of its header. `scratch` may be another than before. */
void dc_plane_codes_write(enum dc_isa isa, const struct dc_plane_codes *codes, const uint8_t *head,
                          size_t head_bytes, uint32_t header_crc, uint8_t *out,
                          const struct dc_team *team);

/* context: the labels of a rows x cols matrix, whose columns are kernels of `kernel` elements in
 * rows of `width`, or no kernels where `kernel` is 1. width <= kernel <= cols, unless cols is 0. */
struct dc_matrix {
    size_t rows, cols, kernel, width;
};

/* context: the rank of each label among the centroids of its sign, from the one nearest to 0, which
 * has 1; label 0 alone has 0. label[negative][magnitude] leads back, up to count[negative]. `trellis`
 * is 1 where labels are told among those that a trellis allows, else 0. */
struct dc_levels {
    uint8_t magnitude[256], negative[256], label[2][256];
    unsigned count[2], trellis;
};

/* context: the first element whose label a trellis doesn't allow, or their number. */
size_t dc_context_fitting(const uint8_t *labels, const struct dc_matrix *matrix,
                          const struct dc_levels *levels);

/* context: how many words of workspace the two that follow need. */
size_t dc_context_words(size_t cols);

/* context: writes labels into the first `capacity` bytes of the payload, and returns how many it
 * has, which may be more. Each label has a level, and the trellis allows it if there is one. Unless it
 * is NULL, prices[p >> 4] is what a decision of probability p / 2**16 costs, and costs[i] becomes the
 * sum for each label. */
size_t dc_context_encode(const uint8_t *labels, const struct dc_matrix *matrix,
                         const struct dc_levels *levels, uint32_t *workspace, uint8_t *payload,
                         size_t capacity, const uint32_t *prices, uint32_t *costs);

/* context: the labels of a payload. DC_TRUNCATED (with all elements there, where the end lacks),
 * DC_BAD_LABEL (a weight, but there is no centroid for it): *at is the element. DC_TRAILING and
 * DC_BAD_END, all elements being there: *at is the byte where the end should begin. */
enum dc_status dc_context_decode(const uint8_t *payload, size_t size,
                                 const struct dc_matrix *matrix, const struct dc_levels *levels,
                                 uint32_t *workspace, uint8_t *labels, size_t *at);

/* pages: tells the system that memory is about to be written all through, so that it may give large
 * pages. Nothing depends on whether it does. */
void dc_want_large_pages(uint8_t *memory, size_t size);

/* crc: continues *crc, the CRC-32 of zlib, over the first bytes of `data`, and returns how many: all
 * but at most 63, or none where the instruction set has no way or there are few. */
size_t dc_crc32(enum dc_isa isa, const uint8_t *data, size_t size, uint32_t *crc);

/* relindex: positions[i] = sum(gaps[0..i] + 1) - 1 for a tensor of `size` elements.
 * DC_BAD_POSITION: *at is the first entry that isn't below `size`, and the
 * positions before it are written. */
enum dc_status dc_decode_gaps(const uint8_t *gaps, size_t count, int64_t size,
                              int64_t *positions, size_t *at);

/* huffman: how often each of the 256 symbols there can be occurs. */
void dc_histogram(const uint8_t *symbols, size_t count, uint64_t *counts);

/* huffman: whether one of the 256 symbols occurs whose flag is 1; others have 0. */
int dc_occurs(const uint8_t *symbols, size_t count, const uint8_t *flags);

/* huffman: the lengths of an optimal code of at most `max_bits` (1 to 12) bits for `alphabet` (at
 * most 256) symbols that occur so often, each below 2**51; 0 for one that doesn't occur. At most
 * 2**max_bits symbols occur. */
void dc_code_lengths(const int64_t *counts, size_t alphabet, unsigned max_bits, uint8_t *lengths);

/* huffman: canonical codes of `alphabet` (at most 256) symbols. `lengths` (at most 12)
 * must be those of a complete code, or of one symbol of length 1.
 *
 * Encoding: every symbol has a code; the `size` bytes of `payload` have room for the bits of
 * all codes, rounded up to bytes. Returns how many these are; those behind may be written to. */
size_t dc_huffman_encode(const uint8_t *symbols, size_t count, const uint8_t *lengths,
                         size_t alphabet, uint8_t *payload, size_t size);

struct dc_huffman_code {
    const uint8_t *lengths;
    size_t alphabet;
};

/* A stream, here and below: the `size` bytes of `payload` stand for `count` symbols. */
struct dc_coded_stream {
    const uint8_t *payload;
    size_t size;
    uint8_t *symbols;
    size_t count;
    size_t code;           /* 0 or 1: which of the codes */
    enum dc_status status; /* of decoding */
    size_t at;
};

/* Decoding: of all streams, in turns. Each has its own status.
 * DC_TRUNCATED, DC_BAD_CODE: `at` is the symbol that couldn't be read, those before it are
 * written, and those after it may be. DC_TRAILING, DC_BAD_PADDING: `at` is the byte at which
 * the fault begins, and all symbols are written. A code that no stream has isn't looked at. */
void dc_huffman_decode(enum dc_isa isa, const struct dc_huffman_code *codes,
                       struct dc_coded_stream *streams, size_t count);

/* rans: a range asymmetric numeral system. `frequencies` of `alphabet` (at most 256)
 * symbols; their sum must be 2**14. There is at least one symbol in a stream.
 *
 * Encoding: every symbol has a frequency; writes the last bytes of `payload`, which
 * has room for `capacity` of them, and returns how many. They are at most
 * 4 + 2 * count; the bytes before them are left alone.
 *
 * Decoding: of all streams, in turns. Each has its own status.
 * DC_TRUNCATED: `at` is the symbol after which a byte is missing, and those up to it are
 * written; or 0 without a whole state. DC_BAD_START: `at` is 0, nothing is written.
 * DC_TRAILING, DC_BAD_END: `at` is where reading ended, and all symbols are written.
 * A code that no stream has isn't looked at. */
size_t dc_rans_encode(const uint8_t *symbols, size_t count, const uint16_t *frequencies,
                      size_t alphabet, uint8_t *payload, size_t capacity);

struct dc_rans_code {
    const uint16_t *frequencies;
    size_t alphabet;
};

void dc_rans_decode(const struct dc_rans_code *codes, struct dc_coded_stream *streams,
                    size_t count);

/* rans_states: the same with several states, and frequencies whose sum is 2**12. A stream of `count`
 * symbols has as many states as `dc_rans_states`: 1 to 32, a power of two, and at least
 * 2**symbols_bits symbols for each of several.
 *
 * Encoding: `capacity` is at least 4 * states + 2 * count; writes the last bytes of `payload`, and
 * returns how many. What is in those before them is lost.
 *
 * Decoding: as above, but for DC_BAD_START, where `at` is the byte at which the state begins. */
size_t dc_rans_states(size_t count, unsigned symbols_bits);

size_t dc_rans_states_encode(enum dc_isa isa, const uint8_t *symbols, size_t count,
                             const uint16_t *frequencies, size_t alphabet, unsigned symbols_bits,
                             uint8_t *payload, size_t capacity);

void dc_rans_states_decode(enum dc_isa isa, const struct dc_rans_code *codes,
                           struct dc_coded_stream *streams, size_t count, unsigned symbols_bits);

/* join: as dc_decode_gaps, without the positions. */
enum dc_status dc_check_gaps(const uint8_t *gaps, size_t count, int64_t size, size_t *at);

/* join: how many bits are 1. */
size_t dc_count_bits(const uint8_t *bytes, size_t size);

/* join: from a label for each element the mask of those that aren't 0, and these labels less 1,
 * for which there is room as for all elements. Returns how many they are. */
size_t dc_dense_mask(const uint8_t *all, size_t elements, uint8_t *mask, uint8_t *less_one);

/* The entries of `elements` consecutive elements; those of label 0 are fillers, wherever they
 * are. All lie within the elements. */
struct dc_block {
    const uint8_t *labels; /* `count` */
    const uint8_t *gaps;   /* likewise */
    size_t count;
    int64_t elements;
    /* What dc_count_fillers leaves for dc_join. */
    uint64_t gap_sum, survivors;
    int is_plain; /* it has just the fillers that gaps of that width need */
};

/* join: how many weights survive in consecutive blocks, and how many fillers they need as one
 * stream with gaps of each width: fillers[b] for 1 <= b <= 8, and fillers[0] is 0. *zeros is how
 * many there are between the survivor before the blocks and them, and then behind their last. */
int64_t dc_survey(const struct dc_block *blocks, size_t count, uint64_t *zeros, int64_t *fillers);

/* join: the same fillers for gaps of one width, which is faster; and the survivors. */
int64_t dc_count_fillers(struct dc_block *blocks, size_t count, unsigned gap_bits, uint64_t *zeros,
                         int64_t *survivors);

/* join: what dc_survey counts, of one block that is given by a mask of valid bits. */
int64_t dc_mask_survey(const uint8_t *mask, size_t elements, uint64_t *zeros, int64_t *fillers);

/* The packed stream of consecutive blocks, as far as it is written. */
struct dc_stream {
    uint8_t *labels, *gaps;
    uint64_t entries;
    uint64_t zeros; /* since the last survivor */
};

/* join: adds the survivors of the blocks that follow, with no fillers but those that are needed.
 * dc_count_fillers has looked at the blocks, with gaps of the same width, and there is room for
 * exactly as many entries as it counts. */
void dc_join(const struct dc_block *blocks, size_t count, unsigned label_bits, unsigned gap_bits,
             struct dc_stream *to);

/* join: adds those of one block that is given by a mask, with a label less 1 for each of its
 * bits. There is room for exactly as many entries as dc_mask_survey counts. */
void dc_mask_join(const uint8_t *mask, const uint8_t *less_one, size_t elements,
                  unsigned label_bits, unsigned gap_bits, struct dc_stream *to);

/* A tensor of any rank, flattened in row-major order, as a matrix of its first axis
 * against all others. An entry of label 0 is a filler; codebook[0] is 0. */
struct dc_tensor {
    int64_t rows;          /* rows * cols < 2**63 */
    int64_t cols;
    int64_t entries;       /* stored entries, fillers included */
    const float *codebook; /* `centroids` values */
    const uint8_t *labels; /* packed, ceil(entries * label_bits / 8) bytes */
    const uint8_t *gaps;   /* packed, ceil(entries * gap_bits / 8) bytes */
    uint32_t centroids;    /* 1 to 2**label_bits */
    uint8_t label_bits;    /* 1 to 8 */
    uint8_t gap_bits;      /* 1 to 8 */
};

/* layout: every label is below `centroids` and every entry within the tensor,
 * which the products below take for granted.
 * DC_BAD_LABEL, then DC_BAD_POSITION: *at is the first such entry. */
enum dc_status dc_validate(const struct dc_tensor *w, size_t *at);

/* layout: 1 if the stream has fillers only where gaps need them, as relindex puts them. */
int dc_has_needed_fillers_only(const struct dc_tensor *w);

/* How a matrix lies in memory for products: spmv/lanes.py, masks.py, tiles.py and lists.py define the
 * bytes. */
enum dc_layout_kind {
    DC_LAYOUT_LANES = 0,
    DC_LAYOUT_MASKS,
    DC_LAYOUT_TILES,
    DC_LAYOUT_LISTS,
    DC_LAYOUT_KINDS
};

/* The kind that is the fastest with an instruction set, for matrices that aren't very sparse;
 * lanes for one that isn't available. And the same for sparse ones, if their lists aren't too large. */
enum dc_layout_kind dc_dense_layout(enum dc_isa isa);
enum dc_layout_kind dc_cached_layout(enum dc_isa isa);

/* A tensor as products want it, without its fillers. A part is the least that a product computes
 * on its own: 16 rows of similar length in lanes, a row in masks, 256 rows in tiles, 32 in lists. */
struct dc_layout {
    enum dc_layout_kind kind;
    int64_t rows;           /* below 2**31, like cols */
    int64_t cols;
    const float *codebook;  /* `centroids` values, the first is 0 */
    const uint8_t *data;    /* ends with 64 bytes that may be loaded and mean nothing */
    const uint64_t *starts; /* where in `data` each part begins and the last one ends */
    const uint32_t *order;  /* lanes: which row is in each lane; lists: the most weights of a row */
    uint32_t centroids;     /* 1 to 256; masks: to 32 */
    uint8_t gap_bits;       /* lanes: 1 to 8; else not used */
    uint8_t label_bits;     /* 1 to 8; masks and lists: 8 */
};

/* Where a row begins in the stream: at which entry, at the latest its first survivor's, and at
 * which column of the row, below 0, the entry before that is. */
struct dc_row {
    uint64_t entry;
    int64_t before;
};

/* Layouts are made by a team; the bytes are the same for any.
 *
 * layout: how many entries each row has in lanes of each width of gaps: counts[b * rows + r]
 * for 1 <= b <= 8, fillers included; for b = 0 how many weights survive; added to zeros of the
 * caller's. And where each of the rows begins. */
void dc_layout_counts(const struct dc_tensor *w, uint32_t *counts, struct dc_row *begins,
                      const struct dc_team *team);

/* layout: fills `data`, zeroed by the caller. */
void dc_layout_lanes(const struct dc_tensor *w, unsigned gap_bits, unsigned label_bits,
                     const struct dc_row *begins, const uint32_t *order, const uint64_t *starts,
                     uint8_t *data, const struct dc_team *team);
void dc_layout_masks(const struct dc_tensor *w, const uint64_t *starts, uint8_t *data);

/* layout: how many sixteens each row has in each block of columns, and 65536 times how many eights,
 * in `counts` of shape (parts, blocks, 32), zeroed by the caller; and what they are, written to
 * `data`, zeroed, from places[part][block][row][0] on, and the labels of the eights from [1] on. */
void dc_list_counts(const struct dc_tensor *w, const struct dc_row *begins, uint32_t *counts,
                    const struct dc_team *team);
void dc_layout_lists(const struct dc_tensor *w, const struct dc_row *begins,
                     const uint64_t *places, uint8_t *data, const struct dc_team *team);

/* layout: how many survivors each row of each tile has, in `counts` of shape (parts, tiles, 256),
 * zeroed by the caller; and the entries of all tiles, ORed to `data`, the first one of each row
 * from bit bits[part][tile][row] on. */
void dc_tile_counts(const struct dc_tensor *w, unsigned label_bits, const struct dc_row *begins,
                    uint8_t *counts, const struct dc_team *team);
void dc_layout_tiles(const struct dc_tensor *w, unsigned label_bits, const struct dc_row *begins,
                     const uint64_t *bits, uint8_t *data, const struct dc_team *team);

/* bits: 1 if none of the elements is infinite or NaN, which the products below take for
 * granted, else 0. */
int dc_all_finite(const float *x, size_t count);

/* spmv: y = W x, for cols elements of x, in the rows of the parts from `first` to before
 * `last`; the other elements of y are left alone. A row's result doesn't depend on the
 * parts that are asked for. DC_NO_ISA: nothing is written. */
enum dc_status dc_spmv(enum dc_isa isa, const struct dc_layout *w, const float *x, float *y,
                       size_t first, size_t last);

/* spmv: Y = W X, for X of shape (cols, n) and Y of shape (rows, n) in row-major
 * order; consecutive rows start ldx >= n and ldy >= n elements apart, and the
 * elements between them are left alone. Parts and status as for dc_spmv. */
enum dc_status dc_spmm(enum dc_isa isa, const struct dc_layout *w, const float *x, size_t ldx,
                       float *y, size_t ldy, size_t n, size_t first, size_t last, void *scratch);

/* spmv: bytes that dc_spmm needs as scratch memory, aligned to 4; 0 where it needs none. */
size_t dc_spmm_scratch(enum dc_isa isa, const struct dc_layout *w);

/* spmv: the part at which a share begins, of `shares` consecutive ones that have about as
 * many stored bytes each; share `shares` is the end. */
size_t dc_share(const struct dc_layout *w, size_t share, size_t shares);

/* spmv: the products of all parts by a team. The result is the same for any, bit by bit. `scratch` has
 * room for dc_spmm_scratch times the threads of the team. */
enum dc_status dc_spmv_shared(enum dc_isa isa, const struct dc_layout *w, const float *x, float *y,
                              const struct dc_team *team);
enum dc_status dc_spmm_shared(enum dc_isa isa, const struct dc_layout *w, const float *x,
                              size_t ldx, float *y, size_t ldy, size_t n,
                              const struct dc_team *team, void *scratch);

/* spmv: the paper's y = W x, and Y = W X, straight from the stream: the definition of the others in
 * C, and for tensors that would grow by a layout. */
void dc_spmv_plain(const struct dc_tensor *w, const float *x, float *y);
void dc_spmm_plain(const struct dc_tensor *w, const float *x, size_t ldx, float *y, size_t ldy,
                   size_t n);

/* A tensor as convolutions want it, without its fillers; spmv/column_blocks.py defines the data. */
struct dc_column_blocks {
    int64_t rows;           /* below 2**31, like cols */
    int64_t cols;
    const float *codebook;  /* of all labels */
    const uint16_t *data;
    const uint64_t *starts; /* where each 16 rows of each block begin, and the last ones end */
    uint32_t block_cols;    /* 64, 128 or 256; of a dense one, up to 768 */
    const float *dense;     /* or all weights, and nothing in the place of the pointers above */
};

/* layout: how many survivors each row has in each column block, added to
 * counts[block * rows + row]; then each row's count and entries, from offsets[block * rows + row]
 * of `data` on, which the caller has zeroed. */
void dc_column_counts(const struct dc_tensor *w, uint32_t block_cols, uint16_t *counts);
void dc_layout_columns(const struct dc_tensor *w, uint32_t block_cols, const int64_t *offsets,
                       uint16_t *data);

/* What is convolved; the rows of W are the outputs, `groups` divides them and the channels, and
 * cols = channels / groups * kernel[0] * kernel[1]. Each pair is one number down, one right. The
 * places of a kernel are `dilation` apart; `padding` are zeros above and left of an image. */
struct dc_geometry {
    int64_t channels, height, width, batch;
    int64_t kernel[2], stride[2], padding[2], dilation[2];
    int64_t groups;
    int64_t out_height, out_width; /* beyond the image, where windows hang over it, are zeros */
};

/* spconv: the convolution of x of shape (channels, height, width, batch) into y of shape (rows,
 * out_height, out_width, batch), plus bias[row] unless `bias` is NULL, and where that is negative
 * 0 if `relu`. By a team; the result is the same for any, bit by bit. `scratch` has room for
 * dc_convolve_scratch times the threads of the team. DC_NO_ISA: nothing is written. */
enum dc_status dc_convolve(enum dc_isa isa, const struct dc_column_blocks *w,
                           const struct dc_geometry *g, const float *x, const float *bias,
                           int relu, float *y, const struct dc_team *team, void *scratch);

/* spconv: bytes of scratch memory for a thread. */
size_t dc_convolve_scratch(const struct dc_column_blocks *w);

/* What an operation of a program does. */
enum dc_operation_kind {
    DC_CONVOLVE = 0, /* `blocks` */
    DC_MULTIPLY,     /* `layout`, or `dense` for one column */
    DC_MAX_POOL,
    DC_AVERAGE,      /* of each channel */
    DC_NORMALIZE,    /* by neighbouring channels, to the power of 3/4 */
    DC_RECTIFY,
    DC_COPY,
    DC_DEPTHWISE,    /* `dense`, (outputs, kernel); a group for each channel */
    DC_MEAN_POOL,    /* `size`: whether zeros of the padding count; `step`: below and right */
    DC_SCALE,        /* by `dense`, a factor for each channel, and then plus `bias` */
    DC_ADD,          /* `other` */
    DC_TIMES,        /* `other`, which has a number for each channel if `size` is 1 */
    DC_ACTIVATE,     /* by the function `size`, an enum dc_function */
    DC_SOFTMAX,      /* over the channels */
    DC_PAD,          /* zeros around an image, and `stride` - 1 of them between its pixels */
    DC_PERMUTE,      /* `step` elements of x for one of y along each of its axes but the batch */
    DC_WINOGRAD,     /* a convolution of one image with 3x3 pixels, one apart, of all channels;
                      * `dense` has them transformed, as in spmv/winograd.py */
    DC_OPERATION_KINDS
};

/* The functions of nn/activations.py; `alpha` and `k` are their constants, in that order. */
enum dc_function {
    DC_CLIP = 0, /* to alpha … k, which may be infinite */
    DC_LEAKY_RELU,
    DC_SIGMOID,
    DC_TANH,
    DC_SILU,
    DC_HARD_SIGMOID,
    DC_HARD_SWISH, /* whose ramp is alpha * x + k */
    DC_FUNCTIONS
};

/* From x to y, which don't overlap. runtime/program.py says which layer becomes which operation;
 * what they compute is what nn.wiring.evaluate does. */
struct dc_operation {
    enum dc_operation_kind kind;
    int relu;                       /* after a sum of products or of others: negative results are
                                     * 0, and those above `high` are that */
    const float *x, *bias;          /* one for each output */
    const float *other;             /* a second operand, of the shape of x if not said otherwise */
    float *y;
    struct dc_geometry geometry;      /* x: (channels, height, width, batch); a product's is
                                     * (channels, 1, 1, batch) */
    const struct dc_column_blocks *blocks;
    const struct dc_layout *layout;
    const float *dense;             /* (outputs, channels) */
    int64_t outputs;
    int64_t size;                   /* of a normalization: how many channels, an odd number */
    int64_t step[3];
    float alpha, k;                 /* (k + alpha * sum of squares)**-0.75 */
    float high;
    double work;                    /* about how many products, or so much time */
};

/* program: does one operation after the other, by a team; the results are the same for any, bit by
 * bit. `progress` are 2 * count zeros, `scratch` has room for dc_run_scratch times its threads. What no operation computes is finite. *is_finite
 * tells whether all that they computed is; if not, it ends early, and no y is a result. `seconds`,
 * unless NULL, gets the time that each operation took. DC_NO_ISA: nothing is written. */
enum dc_status dc_run(enum dc_isa isa, const struct dc_operation *ops, size_t count,
                      const struct dc_team *team, uint32_t *progress, void *scratch,
                      double *seconds, int *is_finite);

/* program: bytes of scratch memory for a thread. */
size_t dc_run_scratch(enum dc_isa isa, const struct dc_operation *ops, size_t count);

/* cdef ends */

#ifdef __cplusplus
}
#endif

#endif
