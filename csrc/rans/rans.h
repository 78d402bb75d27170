/* What both directions of rANS share. */
#ifndef DC_RANS_H
#define DC_RANS_H

#define DC_PROBABILITY_BITS 14
#define DC_SLOTS (1u << DC_PROBABILITY_BITS)
#define DC_RANS_ALPHABET 256 /* symbols, at most */
#define DC_STATE_BITS 31
#define DC_STATE_BYTES 4
#define DC_LOWEST_STATE (1u << (DC_STATE_BITS - 8))

#endif
