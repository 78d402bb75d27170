/* CRC-32 of zlib and PNG by products without carries (Gopal et al. 2009, "Fast CRC Computation for
 * Generic Polynomials Using PCLMULQDQ Instruction"): four vectors of 16 bytes are each folded into
 * the one 64 bytes further on, then into one, which is reduced by Barrett's method. That takes about
 * a tenth of the time of look-ups. All numbers are reflected, the lowest bit being the highest power.
 */
#include "crc/crc.h"
#include "deepcompress.h"
#include "platform.h"

#define LEAST 64 /* bytes */
#define WIDE_PAYS 512

#if DC_X86
#include <immintrin.h>

#define PCLMUL_INLINE DC_TARGET_INLINE("pclmul,sse4.1")

PCLMUL_INLINE __m128i load(const uint8_t *data)
{
    return _mm_loadu_si128((const __m128i *)data);
}

/* Moves x on by as many bits as `powers` are for, and adds y. */
PCLMUL_INLINE __m128i fold(__m128i x, __m128i powers, __m128i y)
{
    __m128i low = _mm_clmulepi64_si128(x, powers, 0x00);
    __m128i high = _mm_clmulepi64_si128(x, powers, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), y);
}

#define WIDE_INLINE DC_TARGET_INLINE("vpclmulqdq,pclmul,avx2")

WIDE_INLINE __m256i load_two(const uint8_t *data)
{
    return _mm256_loadu_si256((const __m256i *)data);
}

WIDE_INLINE __m256i fold_two(__m256i x, __m256i powers, __m256i y)
{
    __m256i low = _mm256_clmulepi64_epi128(x, powers, 0x00);
    __m256i high = _mm256_clmulepi64_epi128(x, powers, 0x11);
    return _mm256_xor_si256(_mm256_xor_si256(low, high), y);
}

/* The same with two products at once: folds all blocks of 128 bytes, of which there are two at least,
 * into one that has the same CRC, begun with 0; returns where they end. Half the time. */
DC_TARGET("vpclmulqdq,pclmul,avx2")
static const uint8_t *fold_blocks(const uint8_t *data, size_t size, uint32_t crc, uint8_t *block)
{
    const __m128i one = _mm_set_epi64x(0x014a7fe880, 0x01e88ef372); /* by 1024 bits */
    const __m256i by_1024 = _mm256_broadcastsi128_si256(one);
    const uint8_t *const end = data + size;
    __m256i a = _mm256_xor_si256(load_two(data),
                                 _mm256_zextsi128_si256(_mm_cvtsi32_si128((int)crc)));
    __m256i b = load_two(data + 32), c = load_two(data + 64), d = load_two(data + 96);
    for (data += 128; end - data >= 128; data += 128) {
        a = fold_two(a, by_1024, load_two(data));
        b = fold_two(b, by_1024, load_two(data + 32));
        c = fold_two(c, by_1024, load_two(data + 64));
        d = fold_two(d, by_1024, load_two(data + 96));
    }
    _mm256_storeu_si256((__m256i *)block, a);
    _mm256_storeu_si256((__m256i *)(block + 32), b);
    _mm256_storeu_si256((__m256i *)(block + 64), c);
    _mm256_storeu_si256((__m256i *)(block + 96), d);
    return data;
}

/* For size >= 64, a multiple of 16; the CRC is inverted on the way in and out by the caller. */
DC_TARGET("pclmul,sse4.1")
static uint32_t crc32_pclmul(const uint8_t *data, size_t size, uint32_t crc)
{
    /* x to the power of 512 + 32, 512 - 32, 128 + 32, 128 - 32 and 64 modulo the polynomial; then
     * the polynomial, and x to the power of 64 divided by it. */
    const __m128i by_512 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
    const __m128i by_128 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
    const __m128i by_64 = _mm_set_epi64x(0, 0x0163cd6124);
    const __m128i barrett = _mm_set_epi64x(0x01f7011641, 0x01db710641);
    const __m128i low_32 = _mm_set_epi32(0, -1, 0, -1);
    const uint8_t *const end = data + size;

    __m128i a = _mm_xor_si128(load(data), _mm_cvtsi32_si128((int)crc));
    __m128i b = load(data + 16), c = load(data + 32), d = load(data + 48);
    data += 64;
    for (; end - data >= 64; data += 64) {
        a = fold(a, by_512, load(data));
        b = fold(b, by_512, load(data + 16));
        c = fold(c, by_512, load(data + 32));
        d = fold(d, by_512, load(data + 48));
    }
    a = fold(fold(fold(a, by_128, b), by_128, c), by_128, d);
    for (; data < end; data += 16)
        a = fold(a, by_128, load(data));

    a = _mm_xor_si128(_mm_clmulepi64_si128(a, by_128, 0x10), _mm_srli_si128(a, 8));
    a = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(a, low_32), by_64, 0x00),
                      _mm_srli_si128(a, 4));
    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(a, low_32), barrett, 0x10);
    a = _mm_xor_si128(a, _mm_clmulepi64_si128(_mm_and_si128(quotient, low_32), barrett, 0x00));
    return (uint32_t)_mm_extract_epi32(a, 1);
}
#endif

size_t dc_crc32(enum dc_isa isa, const uint8_t *data, size_t size, uint32_t *crc)
{
#if DC_X86
    if (isa >= DC_AVX2 && size >= LEAST && __builtin_cpu_supports("pclmul")) {
        size_t taken = size & ~(size_t)15, left = taken;
        uint32_t inverted = ~*crc;
        if (size >= WIDE_PAYS && __builtin_cpu_supports("vpclmulqdq")) {
            uint8_t block[128];
            const uint8_t *next = fold_blocks(data, taken, inverted, block);
            inverted = crc32_pclmul(block, sizeof block, 0);
            left -= (size_t)(next - data);
            data = next;
        }
        /* What is left may be too little for whole vectors. */
        if (left >= LEAST)
            inverted = crc32_pclmul(data, left, inverted);
        else
            taken -= left;
        *crc = ~inverted;
        return taken;
    }
#endif
    (void)isa, (void)data, (void)size, (void)crc;
    return 0;
}

/* What a byte adds to the CRC: the sum of what its bits do. */
#define BIT(byte, bit, power) ((byte) >> (bit) & 1 ? (power) : 0u)
#define ADDS(b)                                                                                   \
    (BIT(b, 0, 0x77073096u) ^ BIT(b, 1, 0xee0e612cu) ^ BIT(b, 2, 0x076dc419u) ^                   \
     BIT(b, 3, 0x0edb8832u) ^ BIT(b, 4, 0x1db71064u) ^ BIT(b, 5, 0x3b6e20c8u) ^                   \
     BIT(b, 6, 0x76dc4190u) ^ BIT(b, 7, 0xedb88320u))
#define ADD_4(b) ADDS(b), ADDS((b) + 1), ADDS((b) + 2), ADDS((b) + 3)
#define ADD_16(b) ADD_4(b), ADD_4((b) + 4), ADD_4((b) + 8), ADD_4((b) + 12)
#define ADD_64(b) ADD_16(b), ADD_16((b) + 16), ADD_16((b) + 32), ADD_16((b) + 48)

static const uint32_t adds[256] = {ADD_64(0), ADD_64(64), ADD_64(128), ADD_64(192)};

uint32_t dc_crc32_of(enum dc_isa isa, const uint8_t *data, size_t size, uint32_t crc)
{
    size_t i = dc_crc32(isa, data, size, &crc);
    for (crc = ~crc; i < size; i++)
        crc = crc >> 8 ^ adds[(uint8_t)(crc ^ data[i])];
    return ~crc;
}
