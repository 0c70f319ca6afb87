// Scans and sorts through CUB.
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_scan.cuh>

#include "cuda/sort.h"

namespace splat {

namespace {

// The latest answers of a question to CUB, which takes microseconds and is asked several times a render.
class Answers {
  public:
    template <class Ask> size_t of(int64_t count, Ask ask) {
        int device = 0;
        check_cuda(cudaGetDevice(&device), "cudaGetDevice");
        for (const Answer& answer : answers_)
            if (answer.count == count && answer.device == device) return answer.bytes;
        next_ = (next_ + 1) % 4;
        answers_[next_] = {count, device, ask()};
        return answers_[next_].bytes;
    }

  private:
    struct Answer {
        int64_t count = -1;
        int device = -1;
        size_t bytes = 0;
    } answers_[4];
    int next_ = 0;
};

}  // namespace

size_t exclusive_sum_bytes(int64_t count) {
    thread_local Answers answers;
    return answers.of(count, [&] {
        size_t bytes = 0;
        check_cuda(cub::DeviceScan::ExclusiveSum(nullptr, bytes, static_cast<const uint32_t*>(nullptr),
                                                 static_cast<uint32_t*>(nullptr), count),
                   "exclusive_sum");
        return bytes;
    });
}

void exclusive_sum(void* scratch, size_t bytes, const uint32_t* in, uint32_t* out, int64_t count, cudaStream_t stream) {
    if (count > 0) check_cuda(cub::DeviceScan::ExclusiveSum(scratch, bytes, in, out, count, stream), "exclusive_sum");
}

template <class Key> size_t stable_sort_bytes(int64_t count) {
    thread_local Answers answers;
    return answers.of(count, [&] {
        size_t bytes = 0;
        cub::DoubleBuffer<Key> keys(nullptr, nullptr);
        cub::DoubleBuffer<uint32_t> values(nullptr, nullptr);
        check_cuda(cub::DeviceRadixSort::SortPairs(nullptr, bytes, keys, values, count, 0, int(sizeof(Key)) * 8),
                   "sort");
        return bytes;
    });
}

template <class Key>
void stable_sort(void* scratch, size_t bytes, Key* keys, Key* other_keys, uint32_t* values, uint32_t* other_values,
                 int64_t count, int bits, cudaStream_t stream, Key** sorted_keys) {
    *sorted_keys = keys;
    if (count == 0) return;
    cub::DoubleBuffer<Key> key_buffer(keys, other_keys);
    cub::DoubleBuffer<uint32_t> value_buffer(values, other_values);
    check_cuda(cub::DeviceRadixSort::SortPairs(scratch, bytes, key_buffer, value_buffer, count, 0, bits, stream),
               "sort");
    *sorted_keys = key_buffer.Current();
    if (value_buffer.Current() != values)
        check_cuda(
            cudaMemcpyAsync(values, other_values, size_t(count) * sizeof(uint32_t), cudaMemcpyDeviceToDevice, stream),
            "sort");
}

#define SPLAT_SORT(Key)                              \
    template size_t stable_sort_bytes<Key>(int64_t); \
    template void stable_sort<Key>(void*, size_t, Key*, Key*, uint32_t*, uint32_t*, int64_t, int, cudaStream_t, Key**);
SPLAT_SORT(uint16_t)
SPLAT_SORT(uint32_t)
SPLAT_SORT(uint64_t)

}  // namespace splat
