#include "emulation/faulty.h"

#include <stdexcept>

#include "launch.h"

namespace emulation {

namespace {

constexpr int THREADS = 64;

// Every thread multiplies its neighbor's number by its own index; right only if the neighbor has written it.
__global__ void neighbors(bool with_barrier, long long* sum) {
    __shared__ long long numbers[THREADS];
    const int i = int(threadIdx.x);
    numbers[i] = 0;
    __syncthreads();
    numbers[i] = i + 1;
    if (with_barrier) __syncthreads();
    atomicAdd(sum, numbers[(i + 7) % THREADS] * i);
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
    long long sum = 0;
    if (fault == "sum" || fault == "race")
        SPLAT_LAUNCH(neighbors, dim3(1), dim3(THREADS), nullptr, fault == "sum", &sum);
    else if (fault == "divergent")
        SPLAT_LAUNCH(divergent, dim3(1), dim3(THREADS), nullptr, );
    else if (fault == "left")
        SPLAT_LAUNCH(left, dim3(1), dim3(THREADS), nullptr, );
    else if (fault == "deadlock")
        SPLAT_LAUNCH(deadlock, dim3(1), dim3(THREADS), nullptr, );
    else
        throw std::invalid_argument("no such fault: " + fault);
    return sum;
}

}  // namespace emulation
