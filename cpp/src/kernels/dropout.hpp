// Numbers that are kept or dropped by a counter-based random number each.
#pragma once

#include "kernels/loops.hpp"
#include "kernels/table.hpp"
#include "simd/philox.hpp"

namespace retrograd::RG_ISA {
namespace {

// 64 elements share 16 counters: word w of counter c is that of element 16 w + c. So whole vectors of every
// width are filled, with the same numbers.
inline constexpr int counters = 16;
static_assert(drawn_together == 4 * counters);

RG_INLINE void draw_block(const RandomWords& key, std::uint64_t block, std::uint32_t* words) {
    const std::uint64_t first = block * counters;
    for (int c = 0; c < counters; c += lanes<float>) {
        Words x[4];
        for (int i = 0; i < lanes<float>; ++i) x[0][i] = static_cast<std::uint32_t>(first) + c + i;
        x[1] = Words{} + (key.counter[0] | (static_cast<std::uint32_t>(first >> 32) & 0xFFFFFF));
        x[2] = Words{} + key.counter[1];
        x[3] = Words{} + key.counter[2];
        philox_rounds(x, key.key[0], key.key[1]);
        for (int w = 0; w < 4; ++w) __builtin_memcpy(words + w * counters + c, &x[w], sizeof x[w]);
    }
}

template <class T>
void dropout(const RandomWords& key, std::uint32_t threshold, T scale, std::int64_t first, const T* x, T* y,
             std::int64_t n, bool accumulate) {
    std::uint32_t words[drawn_together];
    T factor[drawn_together];
    for (std::int64_t i = 0; i < n; i += drawn_together) {
        draw_block(key, static_cast<std::uint64_t>((first + i) / drawn_together), words);
        for (std::int64_t j = 0; j < drawn_together; ++j) factor[j] = words[j] < threshold ? T(0) : scale;
        const std::int64_t end = n - i < drawn_together ? n - i : drawn_together;
        for (std::int64_t j = 0; j < end; j += lanes<T>) {
            Vec<T> v = load_next(x + i + j, end - j) * load(factor + j);
            if (accumulate) v = load_next<T>(y + i + j, end - j) + v;
            store_next(y + i + j, v, end - j);
        }
    }
}

}  // namespace
}  // namespace retrograd::RG_ISA
