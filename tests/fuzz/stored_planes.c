/* dc_plane_codes_choose and dc_plane_codes_write, whose checksums are looked at, and dc_planes_decode,
 * which leads back; then the same with bytes changed and their checksums made anew, and bytes that were
 * never written. What is called valid is the same whatever decodes it. */
#include "fuzz.h"

#define MOST_TENSORS 3
#define MOST_THREADS 3
#define STORED_BYTES 65536 /* that the words below take at most */

/* CRC-32 of zlib, bit by bit. */
static uint32_t crc_of(const uint8_t *data, size_t size, uint32_t crc)
{
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static size_t put_varint(uint8_t *out, uint64_t value)
{
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        out[size++] = (uint8_t)(value | 0x80);
    out[size++] = (uint8_t)value;
    return size;
}

static uint32_t chunk_crc(const uint8_t *chunk, size_t size, size_t number, uint32_t header)
{
    uint8_t varint[10];
    return crc_of(chunk, size, number ? crc_of(varint, put_varint(varint, number), header) : header);
}

/* Some bytes of a chunk are changed, and its CRC is made anew; returns where it ends. */
static uint8_t *change_chunk(struct input *in, uint8_t *chunk, size_t size, size_t number,
                             uint32_t header, int *is_changed)
{
    for (unsigned changes = take(in) % 4; changes > 0 && size > 0; changes--) {
        const size_t at = take16(in) % size;
        const uint8_t change = take(in);
        chunk[at] ^= change;
        *is_changed |= change != 0;
    }
    const uint32_t crc = chunk_crc(chunk, size, number, header);
    for (unsigned i = 0; i < 4; i++)
        chunk[size + i] = (uint8_t)(crc >> 8 * i);
    return chunk + size + 4;
}

/* Whether a chunk has the CRC that it was given; then as change_chunk. */
static uint8_t *take_chunk(struct input *in, uint8_t *chunk, size_t size, size_t number,
                           uint32_t header, int *is_changed)
{
    uint32_t given = 0;
    for (unsigned i = 0; i < 4; i++)
        given |= (uint32_t)chunk[size + i] << 8 * i;
    require(given == chunk_crc(chunk, size, number, header));
    return change_chunk(in, chunk, size, number, header, is_changed);
}

static size_t put_head(const struct dc_plane_codes *c, size_t planes, int unrotated, uint8_t *head)
{
    size_t size = 0;
    head[size++] = (uint8_t)(c->block_bits | (unrotated ? 128u : 0));
    for (unsigned p = 0; p < c->word_bytes; p++)
        head[size++] = c->coders[p];
    for (unsigned p = 0; p < c->word_bytes; p++)
        if (c->coders[p])
            size += put_varint(head + size, c->table_bytes[p]);
    for (size_t i = 0; i < planes; i++)
        if (c->coders[i % c->word_bytes])
            size += put_varint(head + size, c->block_bytes[i]);
    for (unsigned p = 0; p < c->word_bytes; p++)
        if (c->coders[p]) {
            memcpy(head + size, c->tables + 512 * p, c->table_bytes[p]);
            size += c->table_bytes[p];
        }
    return size;
}

/* Chooses codes for the words of a tensor, and writes its chunks; returns their bytes. */
static size_t write_tensor(struct input *in, enum dc_isa isa, struct dc_plane_codes *c,
                           const struct dc_planes *t, size_t threads, int unrotated, uint8_t *data,
                           int *is_changed)
{
    const size_t blocks = ((c->words - 1) >> c->block_bits) + 1, planes = blocks * c->word_bytes;
    const size_t scratch = threads * dc_plane_codes_scratch(c), counts = 1024 * planes;
    const struct dc_team team = team_of(threads);
    c->scratch = exact(scratch);
    c->counts = exact(counts);
    c->block_bytes = exact(8 * planes);
    dc_plane_codes_choose(isa, c, &team);
    release(c->counts, counts);
    static uint8_t head[STORED_BYTES];
    const size_t head_bytes = put_head(c, planes, unrotated, head);
    size_t total = head_bytes + 4 * (blocks == 1 ? 1 : blocks + 1);
    for (size_t i = 0; i < planes; i++)
        total += c->block_bytes[i];
    require(total <= STORED_BYTES);
    uint8_t *coded = exact(total);
    dc_plane_codes_write(isa, c, head, head_bytes, t->header_crc, coded, &team);
    memcpy(data, coded, total);
    release(coded, total);
    uint8_t *chunk = data;
    size_t number = 0, size = head_bytes;
    if (blocks > 1) {
        chunk = take_chunk(in, chunk, size, number++, t->header_crc, is_changed);
        size = 0;
    }
    for (size_t b = 0; b < blocks; b++, size = 0) {
        for (unsigned p = 0; p < c->word_bytes; p++)
            size += c->block_bytes[b * c->word_bytes + p];
        chunk = take_chunk(in, chunk, size, number++, t->header_crc, is_changed);
    }
    require(chunk == data + total);
    release(c->scratch, scratch);
    release(c->block_bytes, 8 * planes);
    return total;
}

static void decode(enum dc_isa isa, struct dc_planes *tensors, size_t count, size_t threads)
{
    /* Kept, as it is large. */
    static void *scratch[MOST_TENSORS + 1][MOST_THREADS + 1];
    const struct dc_team team = team_of(threads);
    if (!scratch[count][threads])
        scratch[count][threads] = aligned_alloc(64, threads * dc_planes_scratch(count));
    dc_planes_decode(isa, tensors, count, &team, scratch[count][threads]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct dc_planes tensors[MOST_TENSORS], again[MOST_TENSORS];
    uint8_t *words[MOST_TENSORS];
    int written[MOST_TENSORS], changed[MOST_TENSORS] = {0};
    const size_t count = 1 + take(&in) % MOST_TENSORS, threads = 1 + take(&in) % MOST_THREADS;
    for (size_t i = 0; i < count; i++) {
        const unsigned form = take(&in), bits = take(&in) % 10;
        struct dc_planes *t = &tensors[i];
        struct dc_plane_codes c = {0};
        memset(t, 0, sizeof *t);
        t->word_bytes = 1u << form % 4;
        t->is_float = form >> 2 & 1;
        t->may_stay = t->is_float && (form >> 3 & 1);
        t->is_bool = t->word_bytes == 1 && !t->is_float && (form >> 5 & 1);
        t->header_crc = take(&in) * 0x01000193u;
        t->words = take(&in) * (size_t)(1 + bits) / 4;
        const size_t own = (size_t)t->words * t->word_bytes;
        const int unrotated = t->may_stay && (form >> 4 & 1);
        words[i] = exact(own);
        for (size_t k = 0, from = take(&in), step = take(&in) % 8; k < own; k++)
            words[i][k] = (uint8_t)(from + (k * k % 11 < step ? k * step % 13 : 0));
        static uint8_t stored[STORED_BYTES];
        written[i] = form >> 6 != 3 && t->words > 0;
        if (written[i]) {
            c.data = words[i];
            c.words = (size_t)t->words;
            c.word_bytes = t->word_bytes;
            c.rotate = t->is_float && !unrotated;
            c.block_bits = bits;
            c.least_gain = 50;
            t->size = write_tensor(&in, DC_AVX2, &c, t, threads, unrotated, stored, &changed[i]);
        } else {
            t->size = 1 + take(&in) % 64;
            for (size_t k = 0; k < t->size; k++)
                stored[k] = take(&in);
            uint8_t none[1];
            struct input nothing = {none, 0};
            t->size = (size_t)(change_chunk(&nothing, stored, t->size, 0, t->header_crc,
                                            &changed[i]) - stored);
            if (t->words > 64 * t->size)
                t->words = 64 * t->size;
        }
        require(t->size <= STORED_BYTES);
        uint8_t *kept = exact(t->size);
        memcpy(kept, stored, t->size);
        t->data = kept;
        t->words_out = exact((size_t)t->words * t->word_bytes);
        again[i] = *t;
        again[i].words_out = exact((size_t)t->words * t->word_bytes);
    }
    decode(DC_AVX2, tensors, count, threads);
    decode(DC_SCALAR, again, count, 1);
    for (size_t i = 0; i < count; i++) {
        const size_t own = (size_t)tensors[i].words * tensors[i].word_bytes;
        require(tensors[i].is_valid == again[i].is_valid);
        if (tensors[i].is_valid) {
            require(memcmp(tensors[i].words_out, again[i].words_out, own) == 0);
            for (size_t k = 0; tensors[i].is_bool && k < own; k++)
                require(tensors[i].words_out[k] < 2);
        }
        if (written[i] && !changed[i] && !tensors[i].is_bool) {
            require(tensors[i].is_valid);
            require(memcmp(tensors[i].words_out, words[i], own) == 0);
        }
        release(words[i], own);
        release((void *)tensors[i].data, tensors[i].size);
        release(tensors[i].words_out, own);
        release(again[i].words_out, own);
    }
    return 0;
}
