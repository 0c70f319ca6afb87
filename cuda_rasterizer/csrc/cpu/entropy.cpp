#include "cpu/entropy.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace splat {
namespace {

constexpr int PROBABILITY_BITS = 15;
constexpr int64_t MOST_BITS_OF_A_MODEL = 1 << 20;
constexpr int WORD_BITS = 16;
constexpr uint64_t LIMIT = uint64_t(1) << (64 - WORD_BITS);  // below this, a word of the range is shifted out

// Probability that a bit is 0: the mean of two estimates that forget at different speeds. A new one learns faster.
struct Bit {
    uint16_t fast = 1 << 14, slow = 1 << 14,
             seen = 0;  // no bytes: writing one would make the compiler reload everything

    uint32_t zero() const { return ((uint32_t(fast) + slow) >> 1) | 32; }  // never 0, and never all of the range

    void update(uint64_t bit) {
        const int target = (static_cast<int>(bit) - 1) & ((1 << PROBABILITY_BITS) - 64);
        if (seen == LAST) {  // nearly always
            fast += (target - fast) >> 5;
            slow += (target - slow) >> 8;
            return;
        }
        fast += (target - fast) * FRACTION[seen][0] >> 15;
        slow += (target - slow) * FRACTION[seen][1] >> 15;
        ++seen;
    }

    // Of the way to the target, in 1/2^15, by how many bits were seen; then 1/32 and 1/256.
    static constexpr int LAST = 15;
    static constexpr int FRACTION[LAST][2] = {{16384, 16384}, {10922, 10922}, {8192, 8192}, {5461, 6553}, {4096, 5461},
                                              {2730, 4096},   {2048, 3276},   {1638, 2730}, {1365, 2048}, {1024, 1638},
                                              {1024, 1092},   {1024, 819},    {1024, 512},  {1024, 328},  {1024, 205}};
};
constexpr int Bit::FRACTION[LAST][2];

struct Encoder {
    std::vector<uint16_t> words;
    uint64_t low = 0, range = ~uint64_t(0);

    void code(Bit& probability, uint64_t bit) {
        const uint64_t bound = (range >> PROBABILITY_BITS) * probability.zero();
        if (bit) {
            raise(bound);
            range -= bound;
        } else {
            range = bound;
        }
        probability.update(bit);
        if (range < LIMIT) {
            shift();
            range <<= WORD_BITS;
        }
    }

    // As few words as tell the range, whatever follows them.
    void finish() {
        if (range == ~uint64_t(0)) return;  // nothing was coded
        uint64_t unit = LIMIT;
        if ((0 - low) % unit > range - unit) unit >>= WORD_BITS;
        raise((0 - low) % unit);
        for (; unit; unit <<= WORD_BITS) shift();
    }

  private:
    void raise(uint64_t by) {
        low += by;
        if (low < by)
            for (size_t i = words.size(); i > 0 && ++words[--i] == 0;) {
            }
    }

    void shift() {
        words.push_back(static_cast<uint16_t>(low >> (64 - WORD_BITS)));
        low <<= WORD_BITS;
    }
};

// Reads words from `position` on, every `step` bytes.
struct Decoder {
    const uint8_t* data;
    int64_t size, position, step;
    uint64_t range = ~uint64_t(0), value = 0;

    Decoder(const uint8_t* data, int64_t size, bool backward)
        : data(data), size(size), position(backward ? size - 2 : 0), step(backward ? -2 : 2) {
        for (int i = 0; i < 64 / WORD_BITS; ++i) shift();
    }

    uint64_t code(Bit& probability) {
        const uint64_t bound = (range >> PROBABILITY_BITS) * probability.zero();
        const uint64_t bit = value >= bound, chosen = 0 - bit;  // without a branch: half of them would be mispredicted
        value -= bound & chosen;
        range = bound + ((range - bound - bound) & chosen);
        probability.update(bit);
        if (range < LIMIT) {
            range <<= WORD_BITS;
            shift();
        }
        return bit;
    }

  private:
    void shift() {
        const bool inside = position >= 0 && position < size - 1;
        value = value << WORD_BITS | (inside ? data[position] | data[position + 1] << 8 : 0);
        position += step;
    }
};

// Values too far out to be a symbol.
struct Far {
    const int32_t* values;
    int64_t left;

    int32_t next() {
        if (left == 0) throw std::invalid_argument("a far value is missing");
        --left;
        return *values++;
    }
};

// The probabilities of one stream, and which of them the next symbol uses.
class Model {
  public:
    explicit Model(const Symbols& s)
        : s_(s),
          contexts_(reinterpret_cast<const uint16_t*>(s.contexts)),
          shifts_(reinterpret_cast<const uint8_t*>(s.shifts)) {
        if (s.bits < 1 || s.bits > 16 || s.count < 0 || s.context_count < 1 || s.bucket < 0)
            throw std::invalid_argument("symbols have 1 to 16 bits and at least one context");
        const int64_t trees = int64_t(s.context_count) * (s.bucket ? PREVIOUS_BUCKETS : 1);
        if (trees << s.bits > MOST_BITS_OF_A_MODEL)
            throw std::invalid_argument("too many contexts for symbols of so many bits");
        bits_.resize(trees << s.bits);
    }

    Bit* tree(int64_t i) {
        int64_t context = contexts_ ? contexts_[i] : 0;
        if (context >= s_.context_count) throw std::invalid_argument("a context is out of range");
        if (s_.bucket) context = context * PREVIOUS_BUCKETS + previous_;
        return bits_.data() + (context << s_.bits);
    }

    void after(int64_t i, int symbol) {
        if (!s_.bucket) return;
        const int64_t value = (int64_t(symbol) + s_.low) * (int64_t(1) << (shifts_ ? shifts_[i] & 31 : 0));
        const int64_t middle = PREVIOUS_BUCKETS / 2, shifted = value + s_.bucket / 2;
        const int64_t quotient = shifted >= 0 ? shifted / s_.bucket : -((s_.bucket - 1 - shifted) / s_.bucket);
        previous_ = static_cast<int>(std::clamp<int64_t>(quotient, -middle, middle) + middle);
    }

  private:
    const Symbols& s_;
    const uint16_t* contexts_;
    const uint8_t* shifts_;
    std::vector<Bit> bits_;
    int previous_ = PREVIOUS_BUCKETS / 2;
};

// Symbols from `i` on, one for each coder, bit by bit in turns.
template <int CODERS>
void encode_turn(const Symbols& s, Model& model, Encoder* coders, int64_t i) {
    const int escape = (1 << s.bits) - 1;
    Bit* trees[CODERS];
    int nodes[CODERS], symbols[CODERS];
    for (int k = 0; k < CODERS; ++k) {
        const int64_t symbol = int64_t(reinterpret_cast<const int32_t*>(s.values)[i + k]) - s.low;
        symbols[k] = symbol < 0 || symbol > escape ? escape : static_cast<int>(symbol);
        trees[k] = model.tree(i + k);
        nodes[k] = 1;
    }
    for (int bit = s.bits - 1; bit >= 0; --bit)
        for (int k = 0; k < CODERS; ++k) {
            const int value = symbols[k] >> bit & 1;
            coders[k].code(trees[k][nodes[k]], value);
            nodes[k] = nodes[k] << 1 | value;
        }
    for (int k = 0; k < CODERS; ++k) model.after(i + k, symbols[k]);
}

template <int CODERS>
void decode_turn(const Symbols& s, Model& model, Decoder* coders, int64_t i, Far& far) {
    Bit* trees[CODERS];
    int nodes[CODERS];
    for (int k = 0; k < CODERS; ++k) {
        trees[k] = model.tree(i + k);
        nodes[k] = 1;
    }
    for (int bit = 0; bit < s.bits; ++bit)
        for (int k = 0; k < CODERS; ++k)
            nodes[k] = nodes[k] << 1 | static_cast<int>(coders[k].code(trees[k][nodes[k]]));
    for (int k = 0; k < CODERS; ++k) {
        const int symbol = nodes[k] - (1 << s.bits);
        reinterpret_cast<int32_t*>(s.values)[i + k] = symbol == (1 << s.bits) - 1 ? far.next() : symbol + s.low;
        model.after(i + k, symbol);
    }
}

}  // namespace

int64_t encode_symbols(const Symbols& s, uint64_t out, int64_t capacity) {
    Model model(s);
    Encoder coders[2];
    int64_t i = 0;
    if (!s.bucket)
        for (; i + 2 <= s.count; i += 2) encode_turn<2>(s, model, coders, i);
    for (; i < s.count; ++i) encode_turn<1>(s, model, coders, i);
    for (Encoder& coder : coders) coder.finish();
    std::vector<uint16_t>& words = coders[0].words;
    words.insert(words.end(), coders[1].words.rbegin(), coders[1].words.rend());
    const int64_t size = 2 * static_cast<int64_t>(words.size());
    for (i = 0; i < std::min(size, capacity); ++i)
        reinterpret_cast<uint8_t*>(out)[i] = static_cast<uint8_t>(words[i / 2] >> 8 * (i % 2));
    return size;
}

void decode_symbols(const Symbols& s, uint64_t data, int64_t size, uint64_t far_values, int64_t far_count) {
    Model model(s);
    const auto* bytes = reinterpret_cast<const uint8_t*>(data);
    Decoder coders[] = {{bytes, size, false}, {bytes, size, true}};
    Far far{reinterpret_cast<const int32_t*>(far_values), far_count};
    int64_t i = 0;
    if (!s.bucket)
        for (; i + 2 <= s.count; i += 2) decode_turn<2>(s, model, coders, i, far);
    for (; i < s.count; ++i) decode_turn<1>(s, model, coders, i, far);
    if (far.left) throw std::invalid_argument("far values are left over");
}

}  // namespace splat
