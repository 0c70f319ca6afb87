#include "emulation/faulty.h"

#include <stdexcept>

#include "launch.h"

namespace emulation {

namespace {

constexpr int THREADS = 64;

enum Between { NOTHING, BALLOT_ONLY, WARP_BARRIER, BLOCK_BARRIER };
constexpr int SAME_WARP = 7, OTHER_WARP = 39;  // bits by which the indices of two partners differ

// Every thread multiplies its partner's number by its own index; right only if the partner has written it.
__global__ void partners(Between between, int bits, long long* sum) {
    __shared__ long long numbers[THREADS];
    const int i = int(threadIdx.x);
    numbers[i] = 0;
    __syncthreads();
    numbers[i] = i + 1;
    if (between == BALLOT_ONLY) __ballot_sync(~0u, 1);
    if (between == WARP_BARRIER) __syncwarp();
    if (between == BLOCK_BARRIER) __syncthreads();
    atomicAdd(sum, numbers[i ^ bits] * i);
}

// One thread of each of two blocks writes half of a word: the same one, or one of its own.
__global__ void two_blocks(bool same, short* halves) {
    if (threadIdx.x == 0) halves[same ? 0 : blockIdx.x] = 1;
}

// A thread reads what all have added to.
__global__ void count_threads(bool with_barrier, long long* sums) {
    atomicAdd(&sums[0], 1);
    if (with_barrier) __syncthreads();
    if (threadIdx.x == 40) sums[1] = sums[0];
}

__global__ void divergent() {
    if (threadIdx.x % 2)
        __syncwarp();
    else
        __ballot_sync(~0u, 1);
}

__global__ void left() {
    if (threadIdx.x % 32 == 5) return;
    __syncwarp();
}

__global__ void deadlock() {
    if (threadIdx.x % 32 < 16)
        __syncthreads();
    else
        __syncwarp();
}

}  // namespace

long long run_faulty(const std::string& fault) {
    long long sums[2] = {};
    const auto run_partners = [&](Between between, int bits) {
        SPLAT_LAUNCH(partners, dim3(1), dim3(THREADS), nullptr, between, bits, sums);
        return sums[0];
    };
    const auto run_two_blocks = [&](bool same) {
        alignas(4) short halves[2] = {};
        SPLAT_LAUNCH(two_blocks, dim3(2), dim3(THREADS), nullptr, same, halves);
        return (long long)(halves[0] + halves[1]);
    };
    const auto run_count = [&](bool with_barrier) {
        SPLAT_LAUNCH(count_threads, dim3(1), dim3(THREADS), nullptr, with_barrier, sums);
        return sums[1];
    };
    if (fault == "sum") return run_partners(BLOCK_BARRIER, OTHER_WARP);
    if (fault == "race") return run_partners(NOTHING, OTHER_WARP);
    if (fault == "lanes race") return run_partners(BALLOT_ONLY, SAME_WARP);
    if (fault == "lanes") return run_partners(WARP_BARRIER, SAME_WARP);
    if (fault == "warps race") return run_partners(WARP_BARRIER, OTHER_WARP);
    if (fault == "blocks race") return run_two_blocks(true);
    if (fault == "blocks") return run_two_blocks(false);
    if (fault == "atomics race") return run_count(false);
    if (fault == "atomics") return run_count(true);
    if (fault == "divergent")
        SPLAT_LAUNCH(divergent, dim3(1), dim3(THREADS), nullptr, );
    else if (fault == "left")
        SPLAT_LAUNCH(left, dim3(1), dim3(THREADS), nullptr, );
    else if (fault == "deadlock")
        SPLAT_LAUNCH(deadlock, dim3(1), dim3(THREADS), nullptr, );
    else
        throw std::invalid_argument("no such fault: " + fault);
    return 0;
}

}  // namespace emulation
