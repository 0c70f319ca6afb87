// As much of CUDA C++ as csrc/cuda uses, for g++: the unmodified .cu files become functions that run on fibers. For tests.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "emulation/fibers.h"
#include "emulation/races.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __shared__ static  // one block runs at a time

#define threadIdx (emulation::thread_index())
#define blockIdx (emulation::block_index())
#define blockDim (emulation::block_size)
#define gridDim (emulation::grid_size)

struct dim3 : emulation::Index3 {
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : emulation::Index3{a, b, c} {}
};
struct uint2 {
    unsigned x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

typedef void* cudaStream_t;
typedef int cudaError_t;
constexpr cudaError_t cudaSuccess = 0;
enum cudaMemcpyKind { cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaGetDevice(int* device) {
    *device = 0;
    return cudaSuccess;
}
inline cudaError_t cudaMallocHost(void** memory, size_t bytes) {
    *memory = malloc(bytes);
    return cudaSuccess;
}
typedef void* cudaEvent_t;
enum { cudaEventDisableTiming = 2 };
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t*, unsigned) { return cudaSuccess; }
inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t) {
    memset(p, value, bytes);
    return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
    memcpy(to, from, bytes);
    return cudaSuccess;
}

namespace emulation {
template <class T> uint64_t bits_of(T value) {
    static_assert(sizeof(T) <= 8, "at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    return bits;
}
template <class T> T from_bits(uint64_t bits) {
    T value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
SPLAT_UNSEEN inline Index3 thread_index() { return current->index; }
SPLAT_UNSEEN inline Index3 block_index() { return current->block; }
inline int lane() { return int(current->linear % 32); }
// As little to be relied on as the GPU's: every launch finds all bits set, which is NaN.
struct DynamicShared {
    uint64_t pair[2] = {~uint64_t(0), ~uint64_t(0)};
};
inline thread_local std::vector<DynamicShared> dynamic_shared;
}  // namespace emulation

inline void __syncthreads() { emulation::barrier(0); }
inline int __syncthreads_count(int predicate) { return emulation::barrier(predicate != 0); }
inline void __syncwarp(unsigned mask = ~0u) { emulation::meet(mask, 0, emulation::SYNC); }
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    const uint64_t* values = emulation::meet(mask, predicate != 0, emulation::BALLOT);
    unsigned result = 0;
    for (int i = 0; i < 32; ++i) result |= unsigned(values[i]) << i;
    return result;
}
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == ~0u; }
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
template <class T> T __shfl_sync(unsigned mask, T value, int from) {
    return emulation::from_bits<T>(emulation::meet(mask, emulation::bits_of(value), emulation::SHUFFLE)[from & 31]);
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned delta) {
    const int from = emulation::lane() - int(delta);
    const uint64_t* values = emulation::meet(mask, emulation::bits_of(value), emulation::SHUFFLE_UP);
    return from < 0 ? value : emulation::from_bits<T>(values[from]);
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int bits) {
    return emulation::from_bits<T>(
        emulation::meet(mask, emulation::bits_of(value), emulation::SHUFFLE_XOR)[emulation::lane() ^ bits]);
}

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
template <class T, class U> SPLAT_UNSEEN T atomicAdd(T* to, U value) {
    emulation::touch(to, sizeof *to, emulation::Touch::ATOMIC);
    const T before = *to;
    *to = T(before + T(value));
    return before;
}
template <class T> SPLAT_UNSEEN T atomicMax(T* to, T value) {
    emulation::touch(to, sizeof *to, emulation::Touch::ATOMIC);
    const T before = *to;
    *to = before < value ? value : before;
    return before;
}

// Asynchronous copies are done on the spot.
SPLAT_UNSEEN inline void __pipeline_memcpy_async(void* to, const void* from, size_t bytes) {
    emulation::touch(from, bytes, emulation::Touch::READ);
    emulation::touch(to, bytes, emulation::Touch::WRITE);
    memcpy(to, from, bytes);
}
inline void __pipeline_commit() {}
inline void __pipeline_wait_prior(size_t) {}

#define SPLAT_DYNAMIC_SHARED(name) \
    unsigned char* const name = reinterpret_cast<unsigned char*>(emulation::dynamic_shared.data())
#define SPLAT_LAUNCH_SHARED(kernel, grid, block, bytes, stream, ...) \
    (emulation::dynamic_shared.assign((bytes) / 16 + 1, {}), SPLAT_LAUNCH(kernel, grid, block, stream, __VA_ARGS__))
#define SPLAT_LAUNCH(kernel, grid, block, stream, ...) \
    ((void)(stream), emulation::run_grid(#kernel, grid, block, [&] { (kernel)(__VA_ARGS__); }))
