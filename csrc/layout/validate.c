/* The one line of defence: a tensor that passes is safe for every product. */
#include "bits/bitreader.h"
#include "bits/fields.h"
#include "deepcompress.h"

static enum dc_status check_labels(const struct dc_tensor *w, size_t *at)
{
    if (w->centroids >> w->label_bits) /* every label has a centroid */
        return DC_OK;
    size_t entries = (size_t)w->entries;
    const unsigned mask = (1u << w->label_bits) - 1;
    for (size_t i = 0; i < entries;) {
        uint64_t word = dc_load_eight(w->labels, i, entries, w->label_bits);
        for (size_t end = dc_end_of_eight(i, entries); i < end; i++) {
            if (((unsigned)word & mask) >= w->centroids) {
                *at = i;
                return DC_BAD_LABEL;
            }
            word >>= w->label_bits;
        }
    }
    return DC_OK;
}

static enum dc_status check_positions(const struct dc_tensor *w, size_t *at)
{
    size_t entries = (size_t)w->entries;
    const unsigned mask = (1u << w->gap_bits) - 1;
    int64_t left = w->rows * w->cols; /* elements after the last entry */
    for (size_t i = 0; i < entries;) {
        uint64_t word = dc_load_eight(w->gaps, i, entries, w->gap_bits);
        for (size_t end = dc_end_of_eight(i, entries); i < end; i++) {
            left -= ((unsigned)word & mask) + 1;
            if (left < 0) {
                *at = i;
                return DC_BAD_POSITION;
            }
            word >>= w->gap_bits;
        }
    }
    return DC_OK;
}

enum dc_status dc_validate(const struct dc_tensor *w, size_t *at)
{
    enum dc_status status = check_labels(w, at);
    return status == DC_OK ? check_positions(w, at) : status;
}

int dc_has_needed_fillers_only(const struct dc_tensor *w)
{
    const size_t entries = (size_t)w->entries;
    const unsigned label_bits = w->label_bits, gap_bits = w->gap_bits;
    const unsigned label_mask = (1u << label_bits) - 1, largest = (1u << gap_bits) - 1;
    const uint64_t ones = dc_field_ones(8, label_bits);
    unsigned others = 0, is_filler = 0;
    for (size_t i = 0; i < entries; i += 8) {
        uint64_t labels = dc_load_eight(w->labels, i, entries, label_bits);
        if (entries - i > 8 && !dc_zero_fields(labels, ones, label_bits))
            continue; /* most eights have no filler, if gaps are wide */
        uint64_t gaps = dc_load_eight(w->gaps, i, entries, gap_bits);
        for (size_t k = dc_end_of_eight(i, entries) - i; k > 0; k--) {
            is_filler = !(labels & label_mask);
            others |= is_filler & ((gaps & largest) != largest);
            labels >>= label_bits;
            gaps >>= gap_bits;
        }
    }
    return !others && !is_filler; /* none is needed at the end */
}
