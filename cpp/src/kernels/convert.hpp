// Other element types into the one a workspace has.
#pragma once

#include <cstdint>

#include "simd/vec.hpp"

namespace retrograd::RG_ISA {
namespace {

// `x` may stand at any address. False where a result is not finite.
template <class S, class T>
bool convert(const void* x, T* y, std::int64_t n) {
    const char* from = static_cast<const char*>(x);
    const T infinite = static_cast<T>(__builtin_inf());
    unsigned bad = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        S value;
        __builtin_memcpy(&value, from + i * static_cast<std::int64_t>(sizeof(S)), sizeof(S));
        y[i] = static_cast<T>(value);
        const T magnitude = y[i] < 0 ? -y[i] : y[i];
        bad |= magnitude < infinite ? 0U : 1U;
    }
    return bad == 0;
}

}  // namespace
}  // namespace retrograd::RG_ISA
