// Advice to the operating system about large arrays.
#pragma once

#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace splat {

// Asks for huge pages under an array that is about to be written for the first time. Gradients of large scenes are fresh
// memory in every step; with 4 KB pages the page faults cost more than the arithmetic. Does nothing where it cannot help.
inline void advise_huge_pages(uint64_t address, int64_t bytes) {
#if defined(MADV_HUGEPAGE)
    constexpr uint64_t HUGE_PAGE = uint64_t(1) << 21;
    const uint64_t begin = (address + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1),
                   end = (address + uint64_t(bytes)) & ~(HUGE_PAGE - 1);
    if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
    (void)address, (void)bytes;
#endif
}

}  // namespace splat
