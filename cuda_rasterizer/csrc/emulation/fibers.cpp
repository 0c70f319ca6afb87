#include "emulation/fibers.h"

#include <algorithm>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "emulation/races.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
extern "C" void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, size_t size);
extern "C" void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom, size_t* size);
#endif

#if defined(__x86_64__)
// Saves the callee-saved registers on the present stack, stores its pointer, and goes on where the other stack was left.
extern "C" void splat_switch_stack(void** save, void* load);
asm(R"(
.text
.globl splat_switch_stack
.hidden splat_switch_stack
.type splat_switch_stack,@function
splat_switch_stack:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size splat_switch_stack,.-splat_switch_stack
)");
#endif

namespace emulation {

thread_local Thread* current = nullptr;
thread_local Index3 block_size, grid_size;

namespace {

constexpr unsigned WARP = 32;

uint64_t seed = 0;

enum class State { READY, AT_BARRIER, AT_MEETING, DONE };

struct Context {
#if defined(__x86_64__)
    void* stack_pointer = nullptr;
#else
    ucontext_t context;
#endif
    void* fake_stack = nullptr;
    const void* bottom = nullptr;
    size_t size = 0;
};

struct Fiber {
    Thread thread;
    Context context;
    std::unique_ptr<char[]> stack;
    State state = State::DONE;
};

struct Warp {
    uint64_t arriving[WARP], values[2][WARP];
    unsigned arrived = 0, parity = 0;
    Kind kind = SYNC;
};

struct Block {
    std::vector<Fiber> fibers;
    std::vector<Warp> warps;
    Context scheduler;
    const std::function<void()>* body = nullptr;
    std::exception_ptr error;
    int barrier_sum = 0, barrier_result = 0;
};
thread_local Block* block = nullptr;

Fiber& fiber_of(const Thread* thread) { return block->fibers[thread->linear]; }

void switch_to(Context& from, Context& to, bool leaving) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(leaving ? nullptr : &from.fake_stack, to.bottom, to.size);
#else
    (void)leaving;
#endif
#if defined(__x86_64__)
    splat_switch_stack(&from.stack_pointer, to.stack_pointer);
#else
    swapcontext(&from.context, &to.context);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

void yield_fiber() { switch_to(fiber_of(current).context, block->scheduler, false); }

void leave_fiber() {
    Fiber& me = fiber_of(current);
    me.state = State::DONE;
    switch_to(me.context, block->scheduler, true);
}

void fiber_main() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &block->scheduler.bottom, &block->scheduler.size);
#endif
    try {
        (*block->body)();
    } catch (...) {
        block->error = std::current_exception();
    }
    leave_fiber();
}

void prepare(Fiber& fiber) {
    if (!fiber.stack) fiber.stack.reset(new char[STACK_BYTES]);
    fiber.thread.stack = fiber.stack.get();
    fiber.context.bottom = fiber.stack.get(), fiber.context.size = STACK_BYTES;
#if defined(__x86_64__)
    // As if splat_switch_stack had been called from nowhere: six registers and a return address, on an aligned stack.
    uintptr_t top = (reinterpret_cast<uintptr_t>(fiber.stack.get()) + STACK_BYTES) & ~uintptr_t(15);
    void** slots = reinterpret_cast<void**>(top) - 8;
    for (int i = 0; i < 8; ++i) slots[i] = nullptr;
    slots[6] = reinterpret_cast<void*>(&fiber_main);
    fiber.context.stack_pointer = slots;
#else
    getcontext(&fiber.context.context);
    fiber.context.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.context.uc_stack.ss_size = STACK_BYTES;
    fiber.context.context.uc_link = nullptr;
    makecontext(&fiber.context.context, fiber_main, 0);
#endif
    fiber.state = State::READY;
}

void run_block(Block& b, const std::vector<unsigned>& order) {
    for (Fiber& fiber : b.fibers) prepare(fiber);
    for (Warp& warp : b.warps) warp.arrived = 0;
    b.barrier_sum = 0;
    for (;;) {
        bool progress = false, alive = false, all_at_barrier = true;
        for (unsigned i : order) {
            Fiber& fiber = b.fibers[i];
            if (fiber.state == State::READY) {
                current = &fiber.thread;
                switch_to(b.scheduler, fiber.context, false);
                current = nullptr;
                if (b.error) std::rethrow_exception(b.error);
                progress = true;
            }
        }
        for (Fiber& fiber : b.fibers) {
            if (fiber.state == State::DONE) continue;
            alive = true;
            all_at_barrier &= fiber.state == State::AT_BARRIER;
        }
        if (!alive) return;
        if (all_at_barrier) {
            b.barrier_result = b.barrier_sum, b.barrier_sum = 0;
            for (Fiber& fiber : b.fibers)
                if (fiber.state == State::AT_BARRIER) fiber.state = State::READY;
        } else if (!progress) {
            throw std::logic_error(
                "emulation: deadlock: some threads wait for others that wait elsewhere or have left");
        }
    }
}

}  // namespace

void set_seed(uint64_t value) { seed = value; }

void run_grid(const char* kernel, Index3 grid, Index3 size, const std::function<void()>& body) {
    const unsigned threads = size.x * size.y * size.z;
    if (threads == 0 || threads % WARP || threads > 1024)
        throw std::logic_error("emulation: a block must be whole warps, at most 1024 threads");
    static thread_local Block pool;
    Block& b = pool;
    b.error = nullptr, b.body = &body;
    if (b.fibers.size() < threads) b.fibers.resize(threads);
    std::vector<Fiber> rest;
    rest.assign(std::make_move_iterator(b.fibers.begin() + threads), std::make_move_iterator(b.fibers.end()));
    b.fibers.resize(threads);
    b.warps.resize(threads / WARP);
    block = &b, block_size = size, grid_size = grid;
    watch_launch(kernel);

    std::mt19937_64 random(seed);
    std::vector<unsigned> order(threads);
    for (unsigned i = 0; i < threads; ++i) order[i] = i;
    const uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
    const uint64_t start = seed && blocks ? random() % blocks : 0;
    for (uint64_t n = 0; n < blocks; ++n) {
        // Any block may come first; after an odd seed they come backwards.
        const uint64_t k = (start + (seed % 2 ? blocks - n : n)) % blocks;
        if (seed) std::shuffle(order.begin(), order.end(), random);
        for (unsigned i = 0; i < threads; ++i) {
            Thread& thread = b.fibers[i].thread;
            thread.linear = i, thread.block_number = unsigned(k);
            thread.barriers = thread.warp_syncs = 0;
            thread.index = {i % size.x, i / size.x % size.y, i / size.x / size.y};
            thread.block = {unsigned(k % grid.x), unsigned(k / grid.x % grid.y), unsigned(k / grid.x / grid.y)};
        }
        run_block(b, order);
    }
    for (Fiber& fiber : rest) b.fibers.push_back(std::move(fiber));
}

void abandon_launch(std::exception_ptr error) {
    block->error = std::move(error);
    leave_fiber();
    __builtin_unreachable();
}

int barrier(int value) {
    block->barrier_sum += value;
    ++current->barriers;
    fiber_of(current).state = State::AT_BARRIER;
    yield_fiber();
    return block->barrier_result;
}

const uint64_t* meet(unsigned mask, uint64_t value, Kind kind) {
    Warp& warp = block->warps[current->linear / WARP];
    const unsigned lane = current->linear % WARP, first = current->linear - lane;
    if (mask != ~0u) throw std::logic_error("emulation: a warp collective must name all lanes");
    if (warp.arrived && warp.kind != kind)
        throw std::logic_error("emulation: lanes of a warp meet at different collectives");
    warp.kind = kind, warp.arriving[lane] = value, warp.arrived |= 1u << lane;
    const unsigned parity = warp.parity;
    if (kind == SYNC) ++current->warp_syncs;
    if (warp.arrived == ~0u) {
        std::copy(warp.arriving, warp.arriving + WARP, warp.values[parity]);
        warp.arrived = 0, warp.parity ^= 1;
        for (unsigned i = 0; i < WARP; ++i)
            if (block->fibers[first + i].state == State::AT_MEETING) block->fibers[first + i].state = State::READY;
    } else {
        for (unsigned i = 0; i < WARP; ++i)
            if (block->fibers[first + i].state == State::DONE)
                throw std::logic_error("emulation: a warp collective names a lane that has left");
        fiber_of(current).state = State::AT_MEETING;
        yield_fiber();
    }
    return warp.values[parity];
}

}  // namespace emulation
