// The functions that g++ -fsanitize=thread calls before every access to memory. Its own library knows nothing of warps
// and blocks; this one takes its place.
#include "emulation/races.h"

#include <dlfcn.h>

#include <cstdint>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include "emulation/cuda_on_cpu.h"

// Where the linker puts variables without a value, and so all __shared__ arrays.
extern "C" __attribute__((visibility("hidden"))) char __bss_start[], _end[];

namespace emulation {

namespace {

constexpr unsigned WARP = 32;
constexpr uintptr_t PAGE_BYTES = 1024, WORD_BYTES = 4;
constexpr unsigned WORD_BITS = 2;

struct Access {
    const void* code = nullptr;  // null: none
    unsigned block = 0, thread = 0;
};

// Accesses of one kind to one cell: the latest, and whether others stand beside it. That is all that later ones must be
// compared with, since barriers that order the latest of a warp or a block order those before it too.
struct Accesses {
    Access latest, other;  // other: the latest by a different thread, to be named
    unsigned barriers = 0, warp_syncs = 0;
    bool other_lanes = false;   // between the same two __syncwarp
    bool other_warps = false;   // between the same two __syncthreads
    bool other_blocks = false;  // in this launch
};

struct Cell {
    Accesses reads, writes, atomics;
};

struct Page {
    unsigned cell_bits = WORD_BITS;  // log2 of the bytes that share a cell: a division would be slow
    std::vector<Cell> cells = std::vector<Cell>(PAGE_BYTES / WORD_BYTES);

    // Once somebody accesses less than a word: neighboring threads may write its halves.
    void split() {
        std::vector<Cell> bytes(PAGE_BYTES);
        for (uintptr_t i = 0; i < PAGE_BYTES; ++i) bytes[i] = cells[i / WORD_BYTES];
        cells = std::move(bytes), cell_bits = 0;
    }
};

// What a launch has accessed.
struct Memory {
    struct Recent {
        uintptr_t number = 0;
        Page* page = nullptr;
    };
    const char* kernel = "";
    uintptr_t dynamic_shared_begin = 0, dynamic_shared_end = 0;
    std::unordered_map<uintptr_t, Page> pages;
    Recent recent[256];

    Page& page_of(uintptr_t address) {
        const uintptr_t number = address / PAGE_BYTES;
        Recent& slot = recent[number % 256];
        if (!slot.page || slot.number != number) slot = {number, &pages[number]};
        return *slot.page;
    }
    bool is_shared(uintptr_t address) const {
        return (address >= uintptr_t(__bss_start) && address < uintptr_t(_end)) ||
               (address >= dynamic_shared_begin && address < dynamic_shared_end);
    }
};
thread_local Memory launch;

// Whether one of the accesses `before` is not ordered before what the thread does now. Shared memory is a block's own.
bool race(const Accesses& before, const Thread& now, bool shared) {
    const Access& latest = before.latest;
    if (!latest.code) return false;
    if (latest.block != now.block_number) return !shared;
    if (before.other_blocks && !shared) return true;
    if (before.barriers != now.barriers) return false;
    if (latest.thread / WARP != now.linear / WARP || before.other_warps) return true;
    return before.warp_syncs == now.warp_syncs && (latest.thread != now.linear || before.other_lanes);
}

void add(Accesses& all, const Thread& now, const void* code) {
    const Access& latest = all.latest;
    const bool any = latest.code, block = any && latest.block == now.block_number,
               barriers = block && all.barriers == now.barriers,
               warp = barriers && latest.thread / WARP == now.linear / WARP,
               warp_syncs = warp && all.warp_syncs == now.warp_syncs, thread = block && latest.thread == now.linear;
    all.other_blocks = any && (all.other_blocks || !block);
    all.other_warps = barriers && (all.other_warps || !warp);
    all.other_lanes = warp_syncs && (all.other_lanes || !thread);
    if (any && !thread) all.other = latest;
    all.latest = {code, now.block_number, now.linear};
    all.barriers = now.barriers, all.warp_syncs = now.warp_syncs;
}

// What is being accessed now, by whom.
struct Event {
    const Thread& thread;
    const Memory& memory;
    Touch how;
    const void* code;
};

std::exception_ptr error(const Event& now, uintptr_t address, const Accesses& before, const char* did) {
    const Access& latest = before.latest;
    const bool own = latest.block == now.thread.block_number && latest.thread == now.thread.linear;
    const Access& access = own ? before.other : latest;
    std::ostringstream text;
    const auto name_thread = [&](unsigned thread, unsigned b) {
        text << "thread " << thread << " of block (" << b % grid_size.x << ", " << b / grid_size.x % grid_size.y << ", "
             << b / grid_size.x / grid_size.y << ')';
    };
    text << "emulation: a race in " << now.memory.kernel << ": ";
    name_thread(now.thread.linear, now.thread.block_number);
    text << (now.how == Touch::READ    ? " reads "
             : now.how == Touch::WRITE ? " writes "
                                       : " changes by an atomic ")
         << (now.memory.is_shared(address) ? "shared" : "global") << " memory at " << reinterpret_cast<void*>(address)
         << ", which ";
    name_thread(access.thread, access.block);
    if (before.other_lanes || before.other_warps || before.other_blocks) text << ", among others,";
    text << ' ' << did << ", and nothing orders the two";
    Dl_info module;
    if (dladdr(now.code, &module)) {
        // A return address is that of the next instruction.
        const auto place = [&](const void* p) { return uintptr_t(p) - uintptr_t(module.dli_fbase) - 1; };
        text << ". Where: addr2line -Cfipe " << module.dli_fname << std::hex << " 0x" << place(now.code) << " 0x"
             << place(access.code);
    }
    return std::make_exception_ptr(std::logic_error(text.str()));
}

void check(const Event& now, uintptr_t address, Cell& cell) {
    const bool shared = now.memory.is_shared(address);
    const auto compare = [&](const Accesses& before, const char* did) {
        if (race(before, now.thread, shared)) abandon_launch(error(now, address, before, did));
    };
    compare(cell.writes, "wrote");
    if (now.how != Touch::READ) compare(cell.reads, "read");
    if (now.how != Touch::ATOMIC) compare(cell.atomics, "changed by an atomic");
    add(now.how == Touch::READ    ? cell.reads
        : now.how == Touch::WRITE ? cell.writes
                                  : cell.atomics,
        now.thread, now.code);
}

}  // namespace

void watch_launch(const char* kernel) {
    Memory& memory = launch;
    memory.kernel = kernel;
    memory.dynamic_shared_begin = uintptr_t(dynamic_shared.data());
    memory.dynamic_shared_end = uintptr_t(dynamic_shared.data() + dynamic_shared.size());
    memory.pages.clear();
    for (Memory::Recent& slot : memory.recent) slot = {};
}

void touch(const void* at, size_t bytes, Touch how, const void* code) {
    const Thread* thread = current;
    if (!thread) return;  // the host
    const uintptr_t first = uintptr_t(at), end = first + bytes;
    if (first - uintptr_t(thread->stack) < STACK_BYTES) return;
    Memory& memory = launch;
    const Event now = {*thread, memory, how, code};
    for (uintptr_t address = first; address < end;) {
        Page& page = memory.page_of(address);
        if (page.cell_bits && (address % WORD_BYTES || end - address < WORD_BYTES)) page.split();
        check(now, address, page.cells[address % PAGE_BYTES >> page.cell_bits]);
        address += uintptr_t(1) << page.cell_bits;
    }
}

}  // namespace emulation

// The names are the compiler's.
extern "C" {

#define SPLAT_REPORT(name, bytes, how)                                                        \
    void __tsan_##name(void* address) {                                                       \
        emulation::touch(address, bytes, emulation::Touch::how, __builtin_return_address(0)); \
    }
#define SPLAT_REPORTS(bytes)                         \
    SPLAT_REPORT(read##bytes, bytes, READ)           \
    SPLAT_REPORT(write##bytes, bytes, WRITE)         \
    SPLAT_REPORT(unaligned_read##bytes, bytes, READ) \
    SPLAT_REPORT(unaligned_write##bytes, bytes, WRITE)
SPLAT_REPORTS(1)
SPLAT_REPORTS(2)
SPLAT_REPORTS(4)
SPLAT_REPORTS(8)
SPLAT_REPORTS(16)

void __tsan_read_range(void* address, size_t bytes) {
    emulation::touch(address, bytes, emulation::Touch::READ, __builtin_return_address(0));
}
void __tsan_write_range(void* address, size_t bytes) {
    emulation::touch(address, bytes, emulation::Touch::WRITE, __builtin_return_address(0));
}

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void*, void*) {}

}  // extern "C"
