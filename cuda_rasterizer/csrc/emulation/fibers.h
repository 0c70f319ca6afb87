// Runs one thread block on the CPU: a fiber per CUDA thread, barriers and warp collectives as rendezvous.
//
// The order in which fibers and blocks run is shuffled by a seed (emulation::seed), so a missing barrier shows as a
// result that depends on the seed. A divergent collective, an exited lane named in a mask, or a deadlock throws; one
// build finds races as such (emulation/races.h).
#pragma once

#include <cstdint>
#include <exception>
#include <functional>

namespace emulation {

struct Index3 {
    unsigned x = 1, y = 1, z = 1;
};

struct Thread {
    Index3 index, block;
    unsigned linear = 0, block_number = 0;
    unsigned barriers = 0, warp_syncs = 0;  // that it has come to in this block
    const char* stack = nullptr;
};

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t STACK_BYTES = 256 << 10;
#else
constexpr size_t STACK_BYTES = 64 << 10;
#endif

enum Kind { SYNC, BALLOT, ALL, ANY, SHUFFLE, SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_XOR };

// Null where no fiber runs.
extern thread_local Thread* current;
extern thread_local Index3 block_size, grid_size;

// Order of fibers and blocks; 0 runs them in their natural order.
void set_seed(uint64_t seed);

// Runs `body`, which calls the kernel, once for every thread of every block.
void run_grid(const char* kernel, Index3 grid, Index3 block, const std::function<void()>& body);

// __syncthreads; returns the sum of `value` over the block's threads.
int barrier(int value);

// Deposits this lane's value and waits for all 32 lanes; returns the 32 values, valid until this lane's next collective.
// `kind` says which collective it is: lanes of a warp must meet at the same one.
const uint64_t* meet(unsigned mask, uint64_t value, Kind kind);

// Ends the launch with an error from inside the kernel, where nothing may be thrown: the fiber is never resumed.
[[noreturn]] void abandon_launch(std::exception_ptr error);

}  // namespace emulation
