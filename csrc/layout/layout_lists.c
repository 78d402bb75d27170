/* From the stream of gaps and labels to lists. spmv/lists.py defines the bytes. */
#include <string.h>

#include "layout/layout.h"
#include "layout/survivors.h"

void dc_layout_lists(const struct dc_tensor *w, const uint64_t *starts, uint8_t *data)
{
    struct dc_survivors s = dc_survivors_of(w);
    uint8_t *const labels = data + starts[w->rows];
    size_t entry = 0;
    int64_t row = -1;
    while (dc_next_survivor(&s)) {
        if (s.row != row) {
            row = s.row;
            entry = starts[row] / DC_EIGHT_BYTES * DC_EIGHT;
        }
        uint8_t *const eight = data + entry / DC_EIGHT * DC_EIGHT_BYTES;
        uint8_t *const col = eight + entry % DC_EIGHT * sizeof(uint16_t);
        uint32_t weight;
        memcpy(&weight, w->codebook + s.label, sizeof weight);
        col[0] = (uint8_t)s.col;
        col[1] = (uint8_t)(s.col >> 8);
        dc_store4(eight + DC_EIGHT * sizeof(uint16_t) + entry % DC_EIGHT * sizeof weight, weight);
        labels[entry++] = (uint8_t)s.label;
    }
}
