#include "cpu/entropy.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace splat {
namespace {

constexpr int PROBABILITY_BITS = 15;
constexpr int64_t MOST_BITS_OF_A_MODEL = 1 << 20;
constexpr uint32_t LIMIT = 1u << 24;  // below this, a byte of the range is shifted out

// Probability that a bit is 0: the mean of two estimates that forget at different speeds. A new one learns faster.
struct Bit {
    uint16_t fast = 1 << 14, slow = 1 << 14,
             seen = 0;  // no bytes: writing one would make the compiler reload everything

    uint32_t zero() const { return ((uint32_t(fast) + slow) >> 1) | 32; }  // never 0, and never all of the range

    void update(int bit) {
        const int target = (bit - 1) & (1 << PROBABILITY_BITS) - 64;
        fast += (target - fast) * SHARE[seen][0] >> 15;
        slow += (target - slow) * SHARE[seen][1] >> 15;
        seen += seen < LAST;
    }

    // Of the way to the target, in 1/2^15, by how many bits were seen.
    static constexpr int LAST = 15;
    static constexpr int SHARE[LAST + 1][2] = {{16384, 16384}, {10922, 10922}, {8192, 8192}, {5461, 6553},
                                               {4096, 5461},   {2730, 4096},   {2048, 3276}, {1638, 2730},
                                               {1365, 2048},   {1024, 1638},   {1024, 1092}, {1024, 819},
                                               {1024, 512},    {1024, 328},    {1024, 205},  {1024, 128}};
};
constexpr int Bit::SHARE[LAST + 1][2];

struct Encoder {
    uint8_t* out;
    int64_t capacity, written = 0, pending = 1;
    uint64_t low = 0;
    uint32_t range = 0xFFFFFFFFu;
    uint8_t cache = 0;
    bool first = true;

    void byte(uint8_t value) {
        if (written < capacity) out[written] = value;
        ++written;
    }

    void shift() {
        if (low < 0xFF000000u || low > 0xFFFFFFFFu) {
            const uint8_t carry = static_cast<uint8_t>(low >> 32);
            if (!first) byte(cache + carry);  // the first byte would always be 0
            first = false;
            for (; pending > 1; --pending) byte(static_cast<uint8_t>(0xFF + carry));
            cache = static_cast<uint8_t>(low >> 24);
            pending = 0;
        }
        ++pending;
        low = (low & 0x00FFFFFFu) << 8;
    }

    void code(Bit& probability, int bit) {
        const uint32_t bound = (range >> PROBABILITY_BITS) * probability.zero();
        if (bit) {
            low += bound;
            range -= bound;
        } else {
            range = bound;
        }
        probability.update(bit);
        while (range < LIMIT) {
            range <<= 8;
            shift();
        }
    }

    void finish() {
        for (int i = 0; i < 5; ++i) shift();
        while (written > 0 && written <= capacity && out[written - 1] == 0) --written;  // zeros are read behind the end
    }
};

struct Decoder {
    const uint8_t* data;
    int64_t size, position = 0;
    uint32_t range = 0xFFFFFFFFu, value = 0;

    uint8_t byte() { return position++ < size ? data[position - 1] : 0; }

    void start() {
        for (int i = 0; i < 4; ++i) value = value << 8 | byte();
    }

    int code(Bit& probability) {
        const uint32_t bound = (range >> PROBABILITY_BITS) * probability.zero();
        const uint32_t bit = value >= bound, chosen = 0u - bit;  // without a branch: half of them would be mispredicted
        value -= bound & chosen;
        range = bound + ((range - bound - bound) & chosen);
        probability.update(static_cast<int>(bit));
        while (range < LIMIT) {
            range <<= 8;
            value = value << 8 | byte();
        }
        return static_cast<int>(bit);
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
        const int64_t value = (int64_t(symbol) + s_.offset) * (int64_t(1) << (shifts_ ? shifts_[i] & 31 : 0));
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

}  // namespace

int64_t encode_symbols(const Symbols& s, uint64_t out, int64_t capacity) {
    Model model(s);
    Encoder encoder{reinterpret_cast<uint8_t*>(out), capacity};
    const auto* symbols = reinterpret_cast<const uint16_t*>(s.symbols);
    for (int64_t i = 0; i < s.count; ++i) {
        Bit* tree = model.tree(i);
        for (int bit = s.bits - 1, node = 1; bit >= 0; --bit) {
            const int value = symbols[i] >> bit & 1;
            encoder.code(tree[node], value);
            node = node << 1 | value;
        }
        model.after(i, symbols[i]);
    }
    encoder.finish();
    return encoder.written;
}

int64_t decode_symbols(const Symbols& s, uint64_t data, int64_t size) {
    Model model(s);
    Decoder decoder{reinterpret_cast<const uint8_t*>(data), size};
    decoder.start();
    auto* symbols = reinterpret_cast<uint16_t*>(s.symbols);
    for (int64_t i = 0; i < s.count; ++i) {
        Bit* tree = model.tree(i);
        int node = 1;
        for (int bit = 0; bit < s.bits; ++bit) node = node << 1 | decoder.code(tree[node]);
        symbols[i] = static_cast<uint16_t>(node - (1 << s.bits));
        model.after(i, symbols[i]);
    }
    return decoder.position;
}

}  // namespace splat
