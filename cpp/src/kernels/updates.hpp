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

// Whole vectors, of whose last one the lanes of `mine` count.
template <class F, class T>
__attribute__((noinline)) void update_vectors(Step<T>& shared, T* w, const T* g, T* const* slots,
                                              std::int64_t n, Mask<T> mine) {
    constexpr int slot_count = F::slots.count();
    static_assert(slot_count <= max_slots);
    Step<T> step = shared;  // what w and the slots could not be
    for (std::int64_t i = 0; i < n; i += lanes<T>) {
        Vec<T> gradient = load(g + i) * step.factor;
        gradient = select(gradient > step.high, step.high, select(gradient < step.low, step.low, gradient));
        Vec<T> weight = load(w + i), slot[max_slots] = {};
        for (int s = 0; s < slot_count; ++s) slot[s] = load(slots[s] + i);
        F::apply(gradient, weight, slot, step.c);
        step.largest.meet(select(mine, weight, Vec<T>{}));
        store(w + i, weight);
        for (int s = 0; s < slot_count; ++s) {
            // An average of what is always 0 fades to the smallest number there is, and would stay there.
            slot[s] = without_denormals(slot[s]);
            step.largest.meet(select(mine, slot[s], Vec<T>{}));
            store(slots[s] + i, slot[s]);
        }
    }
    shared.largest = step.largest;
}

template <class T>
using UpdateVectors = void (*)(Step<T>&, T* w, const T* g, T* const* slots, std::int64_t n, Mask<T> mine);

// What is left at the end becomes a whole vector of its own. Behind it a rule may make NaN out of zeros,
// which is nobody's number.
template <class T>
__attribute__((noinline)) void update_rest(UpdateVectors<T> vectors, int slot_count, Step<T>& step, T* w,
                                           const T* g, T* const* slots, std::int64_t n) {
    alignas(sizeof(Vec<T>)) T room[max_slots + 2][lanes<T>];
    T *const weight = room[0], *const gradient = room[1], *own[max_slots] = {};
    store(weight, load_partial(w, n));
    store(gradient, load_partial(g, n));
    for (int s = 0; s < slot_count; ++s) {
        own[s] = room[s + 2];
        store(own[s], load_partial(slots[s], n));
    }
    vectors(step, weight, gradient, own, lanes<T>, first_lanes<T>(n));
    store_partial(w, load(weight), n);
    for (int s = 0; s < slot_count; ++s) store_partial(slots[s], load(own[s]), n);
}

template <class T>
__attribute__((noinline)) T update_all(UpdateVectors<T> vectors, int slot_count, T* w, const T* g,
                                       T* const* slots, std::int64_t n, const double* coefficients,
                                       double scale, double clip) {
    Step<T> step;
    for (int k = 0; k < max_coefficients; ++k) step.c[k] = broadcast(static_cast<T>(coefficients[k]));
    step.factor = broadcast(static_cast<T>(scale));
    step.high = broadcast(static_cast<T>(clip));
    step.low = -step.high;
    const std::int64_t whole = n / lanes<T> * lanes<T>;
    if (whole > 0) vectors(step, w, g, slots, whole, first_lanes<T>(lanes<T>));
    if (whole < n) {
        T* rest[max_slots];
        for (int s = 0; s < slot_count; ++s) rest[s] = slots[s] + whole;
        update_rest(vectors, slot_count, step, w + whole, g + whole, rest, n - whole);
    }
    return step.largest.fold();
}

template <class F, class T>
T update(T* w, const T* g, T* const* slots, std::int64_t n, const double* coefficients, double scale,
         double clip) {
    return update_all(&update_vectors<F, T>, F::slots.count(), w, g, slots, n, coefficients, scale, clip);
}

template <class T, class List>
struct UpdateTable;
template <class T, class... F>
struct UpdateTable<T, RuleList<F...>> {
    static constexpr UpdateKernel<T> list[] = {{F::name, &update<F, T>}...};
};

}  // namespace
}  // namespace retrograd::RG_ISA
