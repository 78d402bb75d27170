/* Work dealt out to threads. */
#ifndef DC_POOL_H
#define DC_POOL_H

#include "deepcompress.h"

/* Tasks `first` to before `end` of `context`; `thread` says whose scratch memory is used, below the
 * threads of the team. Tasks don't depend on each other, nor their results on who does them. Whoever
 * gets all at once is alone, and needn't do them one by one. */
typedef void dc_task(void *context, size_t first, size_t end, size_t thread);

/* Does tasks 0 to tasks - 1, below 2**32, and returns when all are done: by the calling thread and
 * by workers that are free and worth it. NULL stands for the calling thread alone. */
void dc_deal(const struct dc_team *team, size_t tasks, dc_task *task, void *context);

/* Tasks that work is cut into, of at most `most`: several for each thread, that none waits long at the
 * end, but none too small. */
size_t dc_tasks_of(const struct dc_team *team, size_t most);

static inline size_t dc_threads_of(const struct dc_team *team)
{
    return team ? team->threads : 1;
}

#endif
