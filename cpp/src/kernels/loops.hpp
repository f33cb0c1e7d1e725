// Loads and stores that end where an array ends.
#pragma once

#include <cstdint>

#include "simd/vec.hpp"

namespace retrograd::RG_ISA {
namespace {

// Part of a vector. One or two elements go one by one: what was just written that way can be read again at
// once, while a wider read would have to wait for the memory, and small networks are made of such reads.
#if defined(RG_SIMD_AVX512) || defined(RG_SIMD_AVX2)
template <class T>
RG_INLINE Vec<T> load_some(const T* p, std::int64_t n) {
    if (n > 2) return load_partial(p, n);
    Vec<T> v{};
    if (n >= 1) v[0] = p[0];
    if (n == 2) v[1] = p[1];
    return v;
}

template <class T>
RG_INLINE void store_some(T* p, Vec<T> v, std::int64_t n) {
    if (n > 2) return store_partial(p, v, n);
    if (n >= 1) p[0] = v[0];
    if (n == 2) p[1] = v[1];
}
#else
// Without masks this is long code, so it stands once.
template <class T>
__attribute__((noinline)) Vec<T> load_some(const T* p, std::int64_t n) {
    return load_partial(p, n);
}

template <class T>
__attribute__((noinline)) void store_some(T* p, Vec<T> v, std::int64_t n) {
    store_partial(p, v, n);
}
#endif

// The next vector of `left` elements that are still to come; zeros behind the end.
template <class T>
RG_INLINE Vec<T> load_next(const T* p, std::int64_t left) {
    return left >= lanes<T> ? load(p) : load_some(p, left);
}

template <class T>
RG_INLINE void store_next(T* p, Vec<T> v, std::int64_t left) {
    if (left >= lanes<T>) {
        store(p, v);
    } else {
        store_some(p, v, left);
    }
}

template <class T>
RG_INLINE T first_lane(Vec<T> v) {
    return v[0];
}

}  // namespace
}  // namespace retrograd::RG_ISA
