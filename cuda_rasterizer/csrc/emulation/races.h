// Finds races through memory. A build with SPLAT_RACES has the compiler report every access of the kernels; in other
// builds nothing here does anything.
//
// Two accesses of a word by different threads, one of them a write, must be ordered: by __syncthreads within a block, by
// __syncwarp within a warp. Nothing orders threads of different blocks; ballots and shuffles order no memory. Atomics need
// no order among themselves, but an atomic is a write to everybody else. A race is found in whatever order the threads
// run: which accesses are ordered is known from the barriers that each thread has passed.
#pragma once

#include <cstddef>

namespace emulation {

enum class Touch { READ, WRITE, ATOMIC };

#if defined(SPLAT_RACES)

// For functions that stand in for hardware: they report for themselves what they touch, and are not inlined.
#define SPLAT_UNSEEN __attribute__((no_sanitize("thread"), noinline))

// Forgets all accesses: the launches of a stream are ordered.
void watch_launch(const char* kernel);

// A race ends the launch with an error. `code` is where in the program it happened: by default in the caller's caller.
void touch(const void* address, size_t bytes, Touch how, const void* code = __builtin_return_address(0));

#else

#define SPLAT_UNSEEN
inline void watch_launch(const char*) {}
inline void touch(const void*, size_t, Touch) {}

#endif

}  // namespace emulation
