// Loads and stores that end where an array ends.
#pragma once

#include <cstdint>

#include "simd/vec.hpp"

namespace retrograd::RG_ISA {
namespace {

// The next vector of `left` elements that are still to come; zeros behind the end.
template <class T>
RG_INLINE Vec<T> load_next(const T* p, std::int64_t left) {
    return left >= lanes<T> ? load(p) : load_partial(p, left);
}

template <class T>
RG_INLINE void store_next(T* p, Vec<T> v, std::int64_t left) {
    if (left >= lanes<T>) {
        store(p, v);
    } else {
        store_partial(p, v, left);
    }
}

template <class T>
RG_INLINE T first_lane(Vec<T> v) {
    return v[0];
}

}  // namespace
}  // namespace retrograd::RG_ISA
