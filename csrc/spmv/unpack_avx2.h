/* Rows of W from lanes, an entry to a dword: its column above, its label in the low byte. */
#ifndef DC_UNPACK_AVX2_H
#define DC_UNPACK_AVX2_H

#include "platform.h"
#include "layout/layout.h"
#include "spmv/spmm_tiled.h"

#if DC_X86
#include <immintrin.h>

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

/* The rows of one group of lanes, row i of them from i * stride on, where there is room for a
 * multiple of eight entries and two ends more; those after the last row of W are unpacked, too. */
AVX2 static void dc_unpack_avx2(const struct dc_layout *w, size_t group, uint32_t *entries,
                                size_t stride)
{
    const struct spread of_gaps = spread_of(w->gap_bits), of_labels = spread_of(w->label_bits);
    const size_t quad_bytes = dc_quad_bytes(w->gap_bits, w->label_bits);
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
                gap_bytes += quad_bytes;
            }
            transpose(v);
            for (size_t l = 0; l < 8; l++)
                _mm256_storeu_si256((__m256i *)(entries + l * stride + at), v[l]);
        }
        for (size_t l = 0; l < 8; l++)
            entries[l * stride + at] = entries[l * stride + at + 1] = DC_END;
    }
}

#endif

#endif
