// parallel_for: a loop over tasks, spread over the thread pool.
#pragma once

#include "cpu/thread_pool.h"
#include "variant.h"

SPLAT_NAMESPACE_BEGIN

// Calls body(index, worker) for every index in [0, tasks).
template <class Body> void parallel_for(int64_t threads, int64_t tasks, const Body& body) {
    run_tasks(
        static_cast<int>(threads), tasks,
        [](void* context, int64_t index, int worker) { (*static_cast<const Body*>(context))(index, worker); },
        const_cast<Body*>(&body));
}

// Calls body(begin, end, worker) for consecutive ranges of `chunk` items.
template <class Body> void parallel_chunks(int64_t threads, int64_t items, int64_t chunk, const Body& body) {
    parallel_for(threads, (items + chunk - 1) / chunk, [&](int64_t i, int worker) {
        const int64_t begin = i * chunk, end = begin + chunk;
        body(begin, end < items ? end : items, worker);
    });
}

SPLAT_NAMESPACE_END
