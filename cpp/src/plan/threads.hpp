// How many threads a piece of work is worth.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/parallel.hpp"

namespace retrograd {

// Multiply-adds between two barriers-full phases below which a second thread costs more than it brings (about
// 20 us).
constexpr std::int64_t work_per_thread = 400'000;

// `requested` 0: as many as the work feeds and the process may use. Otherwise that many, or one for small
// work.
[[nodiscard]] inline int choose_threads(int requested, std::int64_t work) {
    if (work < 2 * work_per_thread || requested == 1) return 1;
    if (requested > 1) return requested;
    return static_cast<int>(std::min<std::int64_t>(available_threads(), work / work_per_thread));
}

// For one prediction. Training measures whether several threads pay (train/tempo.hpp); a single call cannot,
// and beside busy processes a second thread may wait for a turn of milliseconds, so it has to bring much.
[[nodiscard]] inline int choose_prediction_threads(int requested, std::int64_t work) {
    constexpr std::int64_t much = 10;
    return choose_threads(requested, requested == 0 ? work / much : work);
}

}  // namespace retrograd
