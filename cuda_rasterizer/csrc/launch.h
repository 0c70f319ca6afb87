// How the host side of csrc/cuda speaks to CUDA: errors as exceptions, and the macros that start a kernel. Compiled
// by nvcc for a GPU, or by g++ for the emulation.
#pragma once

#include <stdexcept>
#include <string>

#include "arguments.h"

#if defined(SPLAT_EMULATION)
#include "emulation/cuda_on_cpu.h"
#else
#include <cuda_pipeline_primitives.h>
#include <cuda_runtime.h>
#endif

namespace splat {

// Throws a std::runtime_error that names the remedy.
void check_cuda(cudaError_t status, const char* what);

#if !defined(SPLAT_EMULATION)
// With so many bytes of dynamic shared memory, 48 KB at most, which the kernel names by SPLAT_DYNAMIC_SHARED.
#define SPLAT_LAUNCH_SHARED(kernel, grid, block, bytes, stream, ...) \
    do {                                                             \
        kernel<<<grid, block, bytes, stream>>>(__VA_ARGS__);         \
        ::splat::check_cuda(cudaGetLastError(), #kernel);            \
    } while (0)
#define SPLAT_DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#define SPLAT_LAUNCH(kernel, grid, block, stream, ...) SPLAT_LAUNCH_SHARED(kernel, grid, block, 0, stream, __VA_ARGS__)
#endif

// Works on one device, and goes back to the caller's: torch shares the current device of a thread with us.
class DeviceScope {
  public:
    explicit DeviceScope(int64_t device) {
        check_cuda(cudaGetDevice(&before_), "cudaGetDevice");
        moved_ = before_ != int(device);
        // Also where nothing moves: a thread's first call makes the device's context its own.
        check_cuda(cudaSetDevice(int(device)), "cudaSetDevice");
    }
    ~DeviceScope() {
        if (moved_) cudaSetDevice(before_);
    }
    DeviceScope(const DeviceScope&) = delete;
    DeviceScope& operator=(const DeviceScope&) = delete;

  private:
    int before_ = 0;
    bool moved_ = false;
};

template <class A> cudaStream_t stream_of(const A& a) { return reinterpret_cast<cudaStream_t>(a.stream); }

// Blocks of `size` threads that cover `count` items; at least one, since an empty grid is an error.
inline unsigned blocks_for(int64_t count, int size) { return unsigned(count > 0 ? (count + size - 1) / size : 1); }

// Hands out arrays from one piece of memory; with address 0 it only counts the bytes.
class Arena {
  public:
    explicit Arena(uint64_t address) : address_(address) {}
    template <class T> T* take(int64_t count) {
        T* array = reinterpret_cast<T*>(address_ + offset_);
        offset_ += (uint64_t(count) * sizeof(T) + 255) / 256 * 256;
        return array;
    }
    int64_t bytes() const { return int64_t(offset_); }

  private:
    uint64_t address_, offset_ = 0;
};

}  // namespace splat
