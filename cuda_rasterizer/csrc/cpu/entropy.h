// Entropy coding of whole numbers: an adaptive binary range coder (Martin 1979; with carries as in LZMA) over the bits of every
// symbol, most significant first, each bit with a probability of its own in every context.
#pragma once

#include <cstdint>

namespace splat {

// Symbols in [0, 2^bits), and what is known about each before it is read.
//   contexts  known from outside, in [0, context_count); null: none
//   shifts    by how much a symbol was shifted down against its neighbours (its step is 2^shift times as large); null: not
//   offset    what to add to a symbol for its value
//   bucket    width of the buckets of the previous symbol's value that are told apart; 0: the previous one does not matter
struct Symbols {
    uint64_t symbols, contexts, shifts;  // uint16, uint16, uint8: addresses
    int64_t count;
    int bits, context_count, offset, bucket;
};

constexpr int PREVIOUS_BUCKETS = 17;

// Writes at most `capacity` bytes; returns how many it takes, which is more than `capacity` if they did not fit.
int64_t encode_symbols(const Symbols& s, uint64_t out, int64_t capacity);

// Fills `symbols` from `size` bytes. Returns how many bytes were asked for: more than `size` if the data ended early.
int64_t decode_symbols(const Symbols& s, uint64_t data, int64_t size);

}  // namespace splat
