/* Memory that is about to be written all through. To get it in pages of 4 KiB takes the system about as
 * long as to write it twice (Linux 6.18, Zen 3, KVM); NumPy asks for large pages, too, for its arrays,
 * but what Python allocates for bytes has none. */
#define _DEFAULT_SOURCE /* madvise */
#include "deepcompress.h"

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

void dc_want_large_pages(uint8_t *memory, size_t size)
{
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)memory;
    const uintptr_t first = (begin + page - 1) / page * page, end = (begin + size) / page * page;
    if (first < end)
        (void)madvise((void *)first, end - first, MADV_HUGEPAGE); /* it may have none */
#else
    (void)memory, (void)size;
#endif
}
