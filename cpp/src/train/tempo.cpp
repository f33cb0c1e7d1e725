#include "train/tempo.hpp"

#include <algorithm>
#include <cmath>

namespace retrograd {
namespace {

constexpr double trial_time = 2e-3;   // seconds: many barriers, too short for a person to notice
constexpr double long_step = 20e-3;   // waking threads does not count beside it
constexpr double work_time = 0.1;     // of the best number between two trials, at least
constexpr double trial_share = 0.02;  // of all time, at most, where steps are long
constexpr double better = 0.97;       // a change must be worth it, or noise would decide

}  // namespace

Tempo::Tempo(int most) {
    for (int size = 1; size < most; size *= 2) sizes_.push_back(size);
    sizes_.push_back(std::max(1, most));
    best_ = sizes_.size() - 1;
}

double Tempo::wanted() const {
    if (trying_ || (first_ && estimate_ < long_step)) return trial_time;
    return std::max(work_time, std::max(trial_seconds_, 2 * estimate_) / trial_share);
}

std::int64_t Tempo::steps() const {
    if (sizes_.size() == 1) return std::int64_t{1} << 40;
    if (!warm_ || estimate_ <= 0) return 1;
    const double left = (wanted() - elapsed_) / estimate_;
    return left < 1 ? 1 : static_cast<std::int64_t>(std::min(left, 1e12));
}

void Tempo::report(std::int64_t steps, double seconds) {
    if (sizes_.size() == 1 || steps < 1) return;
    estimate_ = seconds / static_cast<double>(steps);
    if (!warm_ && steps == 1 && seconds < long_step) {  // it woke threads and filled caches
        warm_ = true;
        return;
    }
    warm_ = true;
    elapsed_ += seconds;
    steps_ += steps;
    if (elapsed_ >= wanted()) end_phase();
}

void Tempo::end_phase() {
    const double rate = elapsed_ / static_cast<double>(steps_);
    if (trying_) {
        trial_seconds_ = elapsed_;
        if (rate < better * best_rate_) {
            best_ = trial_;
            best_rate_ = rate;
        } else {
            up_ = !up_;
        }
        trying_ = false;
    } else {
        best_rate_ = rate;
        const bool can_rise = best_ + 1 < sizes_.size(), can_fall = best_ > 0;
        up_ = can_rise && (up_ || !can_fall);
        trial_ = up_ ? best_ + 1 : best_ - 1;
        trying_ = true;
        first_ = false;
    }
    elapsed_ = 0;
    steps_ = 0;
    warm_ = false;
}

}  // namespace retrograd
