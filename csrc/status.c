/* The closed list of what can go wrong, as sentences. */
#include "deepcompress.h"

const char *dc_strerror(enum dc_status status)
{
    switch (status) {
    case DC_OK: return "no error";
    case DC_TRUNCATED: return "the coded bits end before the last symbol";
    case DC_BAD_CODE: return "a bit pattern has no symbol";
    case DC_TRAILING: return "bytes follow the last symbol";
    case DC_BAD_PADDING: return "padding bits after the last symbol aren't zero";
    case DC_BAD_POSITION: return "an entry lies outside its tensor";
    case DC_BAD_LABEL: return "a label has no centroid";
    case DC_BAD_START: return "the first state of the coder is out of range";
    case DC_BAD_END: return "the last state of the coder isn't the lowest";
    case DC_NO_ISA: return "the instruction set isn't available";
    case DC_STATUS_COUNT: break;
    }
    return "unknown status";
}

const char *dc_compiler(void)
{
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "gcc " __VERSION__;
#else
    return "unknown";
#endif
}
