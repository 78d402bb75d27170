/* A fuzz target without a fuzzer: it runs once for each file that is named, then for as many
 * damaged copies of each as the first argument says. The targets check what they compute. */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state = 88172645463325252u;

/* A number below `limit`, from Marsaglia's xorshift. */
static size_t draw(size_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % limit);
}

int main(int argc, char **argv)
{
    uint8_t data[4096];
    for (int i = 2; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        require(file);
        const size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        LLVMFuzzerTestOneInput(data, size);
        for (int copy = 0; size && copy < atoi(argv[1]); copy++) {
            for (size_t changes = draw(3) + 1; changes > 0; changes--)
                data[draw(size)] = (uint8_t)draw(256);
            LLVMFuzzerTestOneInput(data, draw(4) ? size : draw(size + 1));
        }
    }
    printf("%d inputs\n", (argc - 2) * (1 + atoi(argv[1])));
    return argc < 3;
}
