// Entropy coding of whole numbers: an adaptive binary range coder (Martin 1979) over the bits of every symbol, most significant
// first, each bit with a probability of its own in every context.
//
// A coder waits for its own last bit, so two take turns: one has the even symbols, one the odd ones, and both share what was
// learned (as Giesen 2014 interleaves his). Where a symbol depends on the one before, there is only one.
#pragma once

#include <cstdint>

namespace splat {

// Values low + symbol, symbols in [0, 2^bits), and what is known about each before it is read. The last symbol stands for a
// far value, which is stored apart.
//   contexts  known from outside, in [0, context_count); null: none
//   shifts    by how much a symbol was shifted down against its neighbors (its step is 2^shift times as large); null: not
//   bucket    width of the buckets of the previous symbol's value that are told apart; 0: the previous one does not matter
struct Symbols {
    uint64_t values, contexts, shifts;  // int32, uint16, uint8: addresses
    int64_t count;
    int bits, context_count, low, bucket;
};

constexpr int PREVIOUS_BUCKETS = 17;

// Writes at most `capacity` bytes; returns how many it takes, which is more than `capacity` if they did not fit.
int64_t encode_symbols(const Symbols& s, uint64_t out, int64_t capacity);

// Fills `values` from `size` bytes, zeros behind their end, and `far_count` far values, int32. Throws std::invalid_argument
// where far values are missing or left over.
void decode_symbols(const Symbols& s, uint64_t data, int64_t size, uint64_t far, int64_t far_count);

}  // namespace splat
