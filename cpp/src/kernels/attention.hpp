// The weights of attention, of a block of queries at a time: what stands between its matrix products.
#pragma once

#include "kernels/loops.hpp"
#include "kernels/table.hpp"
#include "simd/accumulator.hpp"
#include "simd/math.hpp"

namespace retrograd::RG_ISA {
namespace {

// A row of scores has room for whole blocks of these many; what stands behind its keys means nothing.
inline constexpr int logical = Accumulator<float>::logical_lanes;

// What one query may attend to: the first `keys`, of these the ones where the mask is not 0.
template <bool Masked, class T>
struct Sight {
    std::int64_t keys;
    const T* mask;

    // v in the lanes from `at` on that may be seen, `otherwise` in all others.
    [[nodiscard]] RG_MEMBER Vec<T> of(Vec<T> v, Vec<T> otherwise, std::int64_t at) const {
        const std::int64_t left = keys - at;
        if constexpr (Masked) {
            return select(load_next(mask + at, left) != Vec<T>{}, v, otherwise);
        } else {
            return left >= lanes<T> ? v : select(first_lanes<T>(left), v, otherwise);
        }
    }
};

template <bool Masked, class T>
RG_INLINE Sight<Masked, T> sight(const AttentionScores<T>& a, std::int64_t row) {
    const std::int64_t seen = a.seen + row * a.seen_step;
    return {seen < a.keys ? seen : a.keys, Masked ? a.mask + row * a.mask_row : nullptr};
}

// A NaN may be passed over: it comes back with its exponential.
template <bool Masked, class T>
RG_INLINE T largest_seen(const T* s, const Sight<Masked, T>& sight) {
    const Vec<T> lowest = broadcast(-static_cast<T>(__builtin_inf()));
    Vec<T> even = lowest, odd = lowest;
    for (std::int64_t i = 0; i < sight.keys; i += 2 * lanes<T>) {
        const Vec<T> a = sight.of(load(s + i), lowest, i);
        even = a > even ? a : even;
        if (i + lanes<T> < sight.keys) {
            const Vec<T> b = sight.of(load(s + i + lanes<T>), lowest, i + lanes<T>);
            odd = b > odd ? b : odd;
        }
    }
    return Fold<T, RG_VECTOR_BYTES>::run(even > odd ? even : odd, JoinMax{});
}

// s becomes e^(scale (s - largest)) where it is seen, times what dropout keeps, and 0 elsewhere; the sum is
// of all that is seen, dropped or not.
template <bool Masked, class T>
RG_INLINE T weigh_row(const AttentionScores<T>& a, T* s, const T* keep, const Sight<Masked, T>& sight,
                      T largest) {
    const Vec<T> scale = broadcast(a.scale), shift = broadcast(largest);
    Accumulator<T> total;
    std::int64_t i = 0;
    for (; i < sight.keys; i += logical) {
#pragma GCC unroll 8
        for (int j = 0; j < total.parts; ++j) {
            const std::int64_t at = i + j * lanes<T>;
            const Vec<T> e = without_denormals(exp_not_positive(scale * (load<T>(s + at) - shift)));
            const Vec<T> seen = sight.of(e, Vec<T>{}, at);
            total.add(j, seen);
            store(s + at, keep == nullptr ? seen : sight.of(seen * load(keep + at), Vec<T>{}, at));
        }
    }
    for (; i < a.stride; i += lanes<T>) store(s + i, Vec<T>{});
    return total.fold();
}

// Sums of 0 are of rows that see nothing: their weights stay 0, and so do those that are made of the
// logarithm again.
template <class T>
RG_INLINE void finish_rows(std::int64_t rows, T* logsumexp, T* share) {
    for (std::int64_t i = 0; i < rows; i += lanes<T>) {
        const std::int64_t left = rows - i;
        const Vec<T> sum = load_next<T>(share + i, left);
        const Mask<T> nothing = sum == Vec<T>{};
        const Vec<T> whole = load_next<T>(logsumexp + i, left) + log(sum);
        store_next(logsumexp + i, select(nothing, infinity<Vec<T>>(), whole), left);
        store_next(share + i, select(nothing, Vec<T>{}, broadcast(T(1)) / sum), left);
    }
}

template <bool Masked, class T>
RG_INLINE void weigh_rows(const AttentionScores<T>& a, T* scores, T* logsumexp, T* share) {
    for (std::int64_t r = 0; r < a.rows; ++r) {
        T* const s = scores + r * a.stride;
        const auto seen = sight<Masked>(a, r);
        const T largest = largest_seen(s, seen);
        share[r] = weigh_row(a, s, a.keep == nullptr ? nullptr : a.keep + r * a.stride, seen, largest);
        logsumexp[r] = a.scale * largest;
    }
    finish_rows(a.rows, logsumexp, share);
}

template <class T>
void attention_weights(const AttentionScores<T>& a, T* scores, T* logsumexp, T* share) {
    if (a.mask != nullptr) return weigh_rows<true>(a, scores, logsumexp, share);
    weigh_rows<false>(a, scores, logsumexp, share);
}

// p = e^(scale s - logsumexp); slopes: p (keep dp - along) scale, scores: p keep
template <bool Masked, class T>
RG_INLINE void slope_rows(const AttentionScores<T>& a, const T* logsumexp, const T* along, T* scores,
                          T* slopes) {
    const Vec<T> scale = broadcast(a.scale);
    for (std::int64_t r = 0; r < a.rows; ++r) {
        T *const s = scores + r * a.stride, *const d = slopes + r * a.stride;
        const T* const keep = a.keep == nullptr ? nullptr : a.keep + r * a.stride;
        const auto seen = sight<Masked>(a, r);
        const Vec<T> shift = broadcast(-logsumexp[r]), common = broadcast(along[r]);
        std::int64_t i = 0;
        for (; i < seen.keys; i += lanes<T>) {
            const Vec<T> p = without_denormals(exp_not_positive(fma(scale, load<T>(s + i), shift)));
            Vec<T> dp = load<T>(d + i), weight = p;
            if (keep != nullptr) {
                const Vec<T> kept = load(keep + i);
                dp = dp * kept;
                weight = p * kept;
            }
            store(s + i, seen.of(weight, Vec<T>{}, i));
            store(d + i, seen.of(p * (dp - common) * scale, Vec<T>{}, i));
        }
        for (; i < a.stride; i += lanes<T>) {
            store(s + i, Vec<T>{});
            store(d + i, Vec<T>{});
        }
    }
}

template <class T>
void attention_slopes(const AttentionScores<T>& a, const T* logsumexp, const T* along, T* scores, T* slopes) {
    if (a.mask != nullptr) return slope_rows<true>(a, logsumexp, along, scores, slopes);
    slope_rows<false>(a, logsumexp, along, scores, slopes);
}

}  // namespace
}  // namespace retrograd::RG_ISA
