// Philox 4x32-10 on vectors of counters: the numbers of base/random.cpp, many at once.
#pragma once

#include "simd/vec.hpp"

namespace retrograd::RG_ISA {

using Words = UIntVec<float>;  // a 32-bit number in each lane

/// The 64-bit products of the even 32-bit lanes.
RG_INLINE UIntVec<double> multiply_even(UIntVec<double> a, UIntVec<double> b) {
#if defined(RG_SIMD_AVX512)
    return (UIntVec<double>)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(RG_SIMD_AVX2)
    return (UIntVec<double>)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(RG_SIMD_NEON)
    return (UIntVec<double>)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
#elif defined(__SSE2__)
    return (UIntVec<double>)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF);
#endif
}

/// The two halves of the products of every lane with one number.
RG_INLINE void multiply_wide(Words a, std::uint32_t b, Words& high, Words& low) {
    using Wide = UIntVec<double>;
    const Wide factor = (Wide)(Words{} + b);
    const Wide even = multiply_even((Wide)a, factor), odd = multiply_even((Wide)a >> 32, factor);
    constexpr std::uint64_t low_half = 0xFFFFFFFF;
    high = (Words)((even >> 32) | (odd & ~low_half));
    low = (Words)((even & low_half) | (odd << 32));
}

/// Ten rounds on x[0..3], as base/random.cpp has them.
RG_INLINE void philox_rounds(Words* x, std::uint32_t key0, std::uint32_t key1) {
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
        Words p_high, p_low, q_high, q_low;
        multiply_wide(x[0], 0xD2511F53, p_high, p_low);
        multiply_wide(x[2], 0xCD9E8D57, q_high, q_low);
        x[0] = q_high ^ x[1] ^ key0, x[1] = q_low;
        x[2] = p_high ^ x[3] ^ key1, x[3] = p_low;
        key0 += 0x9E3779B9;
        key1 += 0xBB67AE85;
    }
}

}  // namespace retrograd::RG_ISA
