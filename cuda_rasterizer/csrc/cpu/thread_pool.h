// A pool of worker threads shared by all CPU kernels; compiled once, used by every instruction set's variant.
#pragma once

#include <cstdint>

namespace splat {

// Runs task(context, index, worker) for every index in [0, tasks), on at most `threads` threads, the caller among them.
// Threads take indices in order as they become free. `worker` is below `threads`. Which thread runs an index is left to
// chance: results must not depend on it.
void run_tasks(int threads, int64_t tasks, void (*task)(void* context, int64_t index, int worker), void* context);

}  // namespace splat
