/* Y = W X from lanes, up to 96 columns of X at a time, in tiles of W's columns.
 *
 * Rows of W are unpacked into the caller's scratch memory, an entry to a dword: its column above,
 * its label in the low byte. They are then gone through tile by tile: the rows of X that belong
 * to a tile are copied side by side, aligned, so that they stay near while each row of W takes
 * what it needs of them, and no load touches two lines of the cache. */
#include <string.h>

#include "layout.h"
#include "spmv.h"

#if DC_X86
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define AVX2_INLINE static inline __attribute__((always_inline, target("avx2,fma")))

#define ROWS 1024             /* of W that are unpacked at once, */
#define ENTRY_BYTES (4 << 20) /* if they take no more than that, but at least those of a group */
#define TILE_BYTES (48 << 10) /* of X: with tiles that the first cache held as a whole, rows of W
                                 would begin and end more often than is worth it */
#define AHEAD 8               /* rows whose entries are fetched before their turn */
#define VECTOR 8
#define PANEL 12              /* vectors of columns at once, whose sums are in registers */
#define END UINT32_MAX        /* after a row's last entry; above every entry */

/* How scratch memory is used; each part is aligned to a line of the cache. */
struct rows {
    size_t stride; /* entries of the longest row, and some ends; a multiple of 16 */
    size_t most;   /* rows, a multiple of DC_LANES */
    size_t count;
    float *tile, *sums;
    uint32_t *entries; /* of row i from i * stride on */
    uint32_t *next;    /* which entry of each row is next */
    uint32_t *place;   /* which row of Y is its */
};

static struct rows rows_of(const struct dc_layout *w)
{
    const size_t groups = ((size_t)w->rows + DC_LANES - 1) / DC_LANES;
    size_t longest = 0;
    for (size_t i = 0; i < groups; i++) {
        size_t bytes = (size_t)(w->starts[i + 1] - w->starts[i]);
        longest = bytes > longest ? bytes : longest;
    }
    longest = longest / dc_block_bytes(w->gap_bits, w->label_bits) * DC_STEPS;
    struct rows r = {.stride = (longest + 31) / 16 * 16};
    r.most = ENTRY_BYTES / (r.stride * sizeof *r.entries) / DC_LANES * DC_LANES;
    r.most = r.most > ROWS ? ROWS : r.most < DC_LANES ? DC_LANES : r.most;
    r.most = r.most > groups * DC_LANES ? groups * DC_LANES : r.most;
    return r;
}

size_t dc_spmm_scratch_avx2(const struct dc_layout *w)
{
    const struct rows r = rows_of(w);
    const size_t row = r.stride * sizeof *r.entries + PANEL * VECTOR * sizeof(float) +
                       sizeof *r.next + sizeof *r.place;
    return TILE_BYTES + r.most * row + AHEAD * sizeof *r.next + 64;
}

static struct rows place_rows(const struct dc_layout *w, void *scratch)
{
    struct rows r = rows_of(w);
    r.tile = (float *)(((uintptr_t)scratch + 63) / 64 * 64);
    r.sums = r.tile + TILE_BYTES / sizeof *r.tile;
    r.entries = (uint32_t *)(r.sums + r.most * PANEL * VECTOR);
    r.next = r.entries + r.most * r.stride;
    r.place = r.next + r.most + AHEAD;
    return r;
}

/* How to spread values of one width over eight lanes. */
struct spread {
    __m256i bytes; /* where in its 128 bits the values of a lane begin */
    __m256i shift; /* and at which bit of the byte */
    __m256i mask;
    __m128i bits;
    size_t half;   /* bytes that four lanes take */
};

AVX2_INLINE struct spread spread_of(unsigned bits)
{
    uint8_t bytes[32];
    uint32_t shift[8];
    for (unsigned l = 0; l < 8; l++) {
        unsigned at = l % 4 * DC_STEPS * bits;
        for (unsigned k = 0; k < 4; k++)
            bytes[4 * l + k] = (uint8_t)(at / 8 + k); /* 12 + 3 at most */
        shift[l] = at % 8;
    }
    return (struct spread){_mm256_loadu_si256((const __m256i *)bytes),
                           _mm256_loadu_si256((const __m256i *)shift),
                           _mm256_set1_epi32((1 << bits) - 1), _mm_cvtsi32_si128((int)bits),
                           2 * bits};
}

/* Either load takes 16 bytes, whatever the width: what it takes too much is read over, or is the
 * end of the data that is there for that. */
AVX2_INLINE __m256i load_lanes(const uint8_t *packed, const struct spread *s)
{
    __m256i both = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)packed));
    both = _mm256_inserti128_si256(both, _mm_loadu_si128((const __m128i *)(packed + s->half)), 1);
    return _mm256_srlv_epi32(_mm256_shuffle_epi8(both, s->bytes), s->shift);
}

/* Eight registers of eight lanes each, turned so that a lane becomes a register. */
AVX2_INLINE void transpose(__m256i r[8])
{
    __m256i t[8], u[8];
    for (unsigned i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (unsigned i = 0; i < 8; i += 4)
        for (unsigned k = 0; k < 2; k++) {
            u[i + 2 * k] = _mm256_unpacklo_epi64(t[i + k], t[i + k + 2]);
            u[i + 2 * k + 1] = _mm256_unpackhi_epi64(t[i + k], t[i + k + 2]);
        }
    for (unsigned i = 0; i < 4; i++) {
        r[i] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x20);
        r[i + 4] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x31);
    }
}

/* The rows of one group of lanes; those after the last row of W are unpacked, too. */
AVX2 static void unpack(const struct dc_layout *w, size_t group, uint32_t *entries, size_t stride)
{
    const struct spread of_gaps = spread_of(w->gap_bits), of_labels = spread_of(w->label_bits);
    const size_t block_bytes = dc_block_bytes(w->gap_bits, w->label_bits);
    const uint8_t *end = w->data + w->starts[group + 1];
    for (size_t lane = 0; lane < DC_LANES; lane += 8, entries += 8 * stride) {
        const uint8_t *gap_bytes = w->data + w->starts[group] + lane / 2 * w->gap_bits;
        const size_t to_labels = 8 * (size_t)w->gap_bits + lane / 2 * w->label_bits -
                                 lane / 2 * w->gap_bits;
        __m256i col = _mm256_setzero_si256();
        size_t at = 0;
        for (; gap_bytes < end; at += 8) {
            __m256i v[8];
            for (unsigned i = 0; i < 8; i += DC_STEPS) {
                if (gap_bytes >= end) {
                    for (unsigned step = 0; step < DC_STEPS; step++)
                        v[i + step] = _mm256_set1_epi32(-1);
                    continue;
                }
                __m256i gaps = load_lanes(gap_bytes, &of_gaps);
                __m256i labels = load_lanes(gap_bytes + to_labels, &of_labels);
                for (unsigned step = 0; step < DC_STEPS; step++) {
                    col = _mm256_add_epi32(col, _mm256_and_si256(gaps, of_gaps.mask));
                    v[i + step] = _mm256_or_si256(_mm256_slli_epi32(col, 8),
                                                  _mm256_and_si256(labels, of_labels.mask));
                    gaps = _mm256_srl_epi32(gaps, of_gaps.bits);
                    labels = _mm256_srl_epi32(labels, of_labels.bits);
                }
                gap_bytes += block_bytes;
            }
            transpose(v);
            for (size_t l = 0; l < 8; l++)
                _mm256_storeu_si256((__m256i *)(entries + l * stride + at), v[l]);
        }
        for (size_t l = 0; l < 8; l++)
            entries[l * stride + at] = END;
    }
}

/* Adds the products of a tile, which begins at column `first`, with the entries below `end`, or
 * for `first` 0 writes them. `vectors` is a constant wherever this ends up. */
AVX2_INLINE void tile_product(const float *codebook, const struct rows *rows, uint32_t first,
                              uint32_t end, const unsigned vectors)
{
    const size_t stride = VECTOR * (size_t)vectors, before = first * stride;
    float *sums = rows->sums;
    for (size_t i = 0; i < rows->count; i++, sums += stride) {
        const uint32_t *begin = rows->entries + i * rows->stride, *entry = begin + rows->next[i];
        /* No row's entries follow those of the one before it. The last ones are of no row, or of
         * no use. */
        _mm_prefetch((const char *)(begin + AHEAD * rows->stride + rows->next[i + AHEAD]),
                     _MM_HINT_T0);
        __m256 sum[PANEL];
#pragma GCC unroll 12
        for (unsigned k = 0; k < vectors; k++)
            sum[k] = first ? _mm256_load_ps(sums + VECTOR * k) : _mm256_setzero_ps();
        for (; *entry < end; entry++) {
            const float *from = rows->tile + ((*entry >> 8) * stride - before);
            const __m256 weight = _mm256_broadcast_ss(codebook + (*entry & 255));
#pragma GCC unroll 12
            for (unsigned k = 0; k < vectors; k++)
                sum[k] = _mm256_fmadd_ps(weight, _mm256_load_ps(from + VECTOR * k), sum[k]);
        }
#pragma GCC unroll 12
        for (unsigned k = 0; k < vectors; k++)
            _mm256_store_ps(sums + VECTOR * k, sum[k]);
        rows->next[i] = (uint32_t)(entry - begin);
    }
}

#define FOR_VECTORS(n)                                                                            \
    case n: tile_product(codebook, rows, first, end, n); break;

AVX2 static void any_tile_product(const float *codebook, const struct rows *rows, uint32_t first,
                                  uint32_t end, unsigned vectors)
{
    switch (vectors) {
        FOR_VECTORS(1)
        FOR_VECTORS(2)
        FOR_VECTORS(3)
        FOR_VECTORS(4)
        FOR_VECTORS(5)
        FOR_VECTORS(6)
        FOR_VECTORS(7)
        FOR_VECTORS(8)
        FOR_VECTORS(9)
        FOR_VECTORS(10)
        FOR_VECTORS(11)
        FOR_VECTORS(12)
    }
}

/* `n` columns of all that is unpacked. */
static void panel_product(const struct dc_layout *w, const struct rows *rows, const float *x,
                          size_t ldx, float *y, size_t ldy, size_t n)
{
    const unsigned vectors = (unsigned)((n + VECTOR - 1) / VECTOR);
    const size_t stride = VECTOR * vectors, cols = (size_t)w->cols;
    const size_t tile_rows = TILE_BYTES / (stride * sizeof(float));
    memset(rows->next, 0, (rows->count + AHEAD) * sizeof *rows->next);
    for (size_t first = 0; first == 0 || first < cols; first += tile_rows) {
        const size_t last = first + tile_rows < cols ? first + tile_rows : cols;
        for (size_t c = first; c < last; c++) {
            float *to = rows->tile + (c - first) * stride;
            memcpy(to, x + c * ldx, n * sizeof *to);
            memset(to + n, 0, (stride - n) * sizeof *to);
        }
        any_tile_product(w->codebook, rows, (uint32_t)first,
                         last < cols ? (uint32_t)(last << 8) : END, vectors);
    }
    for (size_t i = 0; i < rows->count; i++)
        memcpy(y + rows->place[i] * ldy, rows->sums + i * stride, n * sizeof *y);
}

AVX2 void dc_spmm_lanes_avx2(const struct dc_layout *w, const float *x, size_t ldx, float *y,
                             size_t ldy, size_t n, size_t first, size_t last, void *scratch)
{
    struct rows rows = place_rows(w, scratch);
    const size_t vectors = (n + VECTOR - 1) / VECTOR, panels = (vectors + PANEL - 1) / PANEL;
    for (size_t g = first; g < last; g++) {
        unpack(w, g, rows.entries + rows.count * rows.stride, rows.stride);
        for (size_t l = 0; l < DC_LANES && g * DC_LANES + l < (size_t)w->rows; l++)
            rows.place[rows.count++] = w->order[g * DC_LANES + l];
        if (rows.count + DC_LANES <= rows.most && g + 1 < last)
            continue;
        /* Of about the same width, so that none is much less efficient. */
        for (size_t p = 0; p < panels; p++) {
            const size_t from = vectors * p / panels * VECTOR;
            size_t to = vectors * (p + 1) / panels * VECTOR;
            to = to < n ? to : n;
            panel_product(w, &rows, x + from, ldx, y + from, ldy, to - from);
        }
        rows.count = 0;
    }
}

#endif
