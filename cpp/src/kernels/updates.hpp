// Loops over the rules of functions/updates.hpp: one pass over weights, gradients and slots.
#pragma once

#include "functions/updates.hpp"
#include "kernels/loops.hpp"
#include "kernels/reduce.hpp"
#include "kernels/table.hpp"

namespace retrograd::RG_ISA {
namespace {

template <class T>
struct Step {
    Vec<T> c[max_coefficients];
    Vec<T> factor, high, low;
    Largest<T> largest;
};

template <bool Whole, class F, class T>
RG_INLINE void update_next(Step<T>& step, T* w, const T* g, T* const* slots, std::int64_t i,
                           std::int64_t left) {
    constexpr int slot_count = F::slots.count();
    static_assert(slot_count <= max_slots);
    const std::int64_t some = Whole ? lanes<T> : left;
    Vec<T> gradient = load_next(g + i, some) * step.factor;
    gradient = select(gradient > step.high, step.high, select(gradient < step.low, step.low, gradient));
    Vec<T> weight = load_next<T>(w + i, some), slot[max_slots] = {};
    for (int s = 0; s < slot_count; ++s) slot[s] = load_next<T>(slots[s] + i, some);
    F::apply(gradient, weight, slot, step.c);
    // Behind the end a rule may make NaN out of zeros, which is nobody's number.
    const Mask<T> mine = first_lanes<T>(some);
    step.largest.meet(Whole ? weight : select(mine, weight, Vec<T>{}));
    store_next(w + i, weight, some);
    for (int s = 0; s < slot_count; ++s) {
        // An average of what is always 0 fades to the smallest number there is, and would stay there.
        slot[s] = without_denormals(slot[s]);
        step.largest.meet(Whole ? slot[s] : select(mine, slot[s], Vec<T>{}));
        store_next(slots[s] + i, slot[s], some);
    }
}

template <class F, class T>
T update(T* w, const T* g, T* const* slots, std::int64_t n, const double* coefficients, double scale,
         double clip) {
    Step<T> step;
    for (int k = 0; k < max_coefficients; ++k) step.c[k] = broadcast(static_cast<T>(coefficients[k]));
    step.factor = broadcast(static_cast<T>(scale));
    step.high = broadcast(static_cast<T>(clip));
    step.low = -step.high;
    std::int64_t i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) update_next<true, F>(step, w, g, slots, i, lanes<T>);
    if (i < n) update_next<false, F>(step, w, g, slots, i, n - i);
    return step.largest.fold();
}

template <class T, class List>
struct UpdateTable;
template <class T, class... F>
struct UpdateTable<T, RuleList<F...>> {
    static constexpr UpdateKernel<T> list[] = {{F::name, &update<F, T>}...};
};

}  // namespace
}  // namespace retrograd::RG_ISA
