#include "cpu/octree.h"

#include <stdexcept>

namespace splat {
namespace {

// Every third bit, from the lowest on.
int32_t gather(uint64_t place) {
    place &= 0x1249249249249249;
    place = (place | place >> 2) & 0x10C30C30C30C30C3;
    place = (place | place >> 4) & 0x100F00F00F00F00F;
    place = (place | place >> 8) & 0x1F0000FF0000FF;
    place = (place | place >> 16) & 0x1F00000000FFFF;
    return static_cast<int32_t>((place | place >> 32) & 0x1FFFFF);
}

// Takes numbers of so many bits from bytes, the highest bit first.
class BitReader {
  public:
    BitReader(const uint8_t* data, int64_t size, int bits) : data_(data), size_(size), bits_(bits) {}

    uint64_t next() {
        uint64_t number = 0;
        for (int missing = bits_; missing > 0;) {
            if (held_ == 0) {
                byte_ = position_ < size_ ? data_[position_] : 0;
                ++position_;
                held_ = 8;
            }
            const int taken = missing < held_ ? missing : held_;
            held_ -= taken;
            missing -= taken;
            number = number << taken | (byte_ >> held_ & ((1u << taken) - 1));
        }
        return number;
    }

  private:
    const uint8_t* data_;
    int64_t size_, position_ = 0;
    int bits_, held_ = 0;
    uint32_t byte_ = 0;
};

}  // namespace

void expand_nodes(uint64_t nodes, uint64_t occupancy, int64_t count, uint64_t children, uint64_t siblings) {
    auto* child = reinterpret_cast<uint64_t*>(children);
    auto* number = reinterpret_cast<uint16_t*>(siblings);
    for (int64_t i = 0; i < count; ++i) {
        const uint64_t node = reinterpret_cast<const uint64_t*>(nodes)[i] << 3;
        const auto occupied = static_cast<uint8_t>(reinterpret_cast<const int32_t*>(occupancy)[i]);
        const uint64_t* first = child;
        for (uint32_t left = occupied; left; left &= left - 1) *child++ = node | __builtin_ctz(left);
        for (const uint64_t* each = first; each < child; ++each) *number++ = static_cast<uint16_t>(child - first);
    }
}

void place_cells(uint64_t leaves, uint64_t counts, int64_t leaf_count, int bits, uint64_t data, int64_t size,
                 uint64_t cells) {
    if (bits < 0 || bits > 60) throw std::invalid_argument("places have at most 60 bits");
    BitReader rests(reinterpret_cast<const uint8_t*>(data), size, bits);
    auto* cell = reinterpret_cast<int32_t*>(cells);
    for (int64_t i = 0; i < leaf_count; ++i)
        for (int32_t k = reinterpret_cast<const int32_t*>(counts)[i]; k > 0; --k) {
            const uint64_t place = reinterpret_cast<const uint64_t*>(leaves)[i] << bits | rests.next();
            for (int axis = 0; axis < 3; ++axis) *cell++ = gather(place >> axis);
        }
}

}  // namespace splat
