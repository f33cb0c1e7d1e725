#include "train/tempo.hpp"

#include <algorithm>

namespace retrograd {
namespace {

constexpr std::int64_t long_work = 400'000'000;  // multiply-adds, about 20 ms on one thread
constexpr double long_step = 20e-3;              // seconds: waking threads does not count beside it

constexpr double trial_time = 2e-3;   // many barriers, too short for a person to notice
constexpr double proof_time = 12e-3;  // longer than a turn of another process on the same CPU
constexpr double work_time = 0.1;     // of the best number between two trials, at least
constexpr double trial_share = 0.02;  // of all time, at most, but for the
constexpr double longest_pause = 2;   // between trials, after which the machine may be another

constexpr double better = 0.97;  // a change must be worth it, or noise would decide
constexpr double worse = 1.3;    // what was measured before does not hold any more
constexpr double hopeless = 4;   // one step is enough to see it

}  // namespace

Tempo::Tempo(int most, std::int64_t work) : long_steps_(work >= long_work) {
    for (int size = 1; size < most; size *= 2) sizes_.push_back(size);
    sizes_.push_back(std::max(1, most));
    best_ = long_steps_ ? sizes_.size() - 1 : 0;
}

double Tempo::wanted() const {
    if (trying_) return elapsed_ < trial_time ? trial_time : proof_time;
    if (first_) return long_steps_ ? std::max(work_time, 20 * estimate_) : trial_time;
    const double pause = std::min(trial_seconds_ / trial_share, longest_pause);
    return std::max({work_time, pause, estimate_ / trial_share});
}

double Tempo::seconds() const {
    if (!warm_) return 0;
    return std::min(wanted() - elapsed_, work_time);
}

void Tempo::report(std::int64_t steps, double seconds) {
    if (sizes_.size() == 1 || steps < 1) return;
    estimate_ = seconds / static_cast<double>(steps);
    spent_ += seconds;
    if (!warm_) {
        warm_ = true;
        // The first step woke threads and filled caches, which is not what the others will take.
        const bool tells_all = trying_ && seconds > trial_time && estimate_ > hopeless * best_rate_;
        if (!tells_all && seconds < long_step) return;
    }
    elapsed_ += seconds;
    steps_ += steps;
    const bool failed = trying_ && elapsed_ >= trial_time && rate() >= better * best_rate_;
    if (failed || is_slow() || elapsed_ >= wanted()) end_phase();
}

double Tempo::rate() const { return elapsed_ / static_cast<double>(steps_); }

bool Tempo::is_slow() const {
    return !trying_ && !first_ && best_ > 0 && elapsed_ >= proof_time && rate() > worse * best_rate_;
}

void Tempo::end_phase() {
    if (trying_) {
        end_trial();
    } else {
        end_work();
    }
    spent_ = elapsed_ = 0;
    steps_ = 0;
    warm_ = false;
}

void Tempo::end_work() {
    mistake_ = is_slow() ? spent_ : 0;
    if (is_slow()) up_ = false;  // somebody else wants CPUs
    best_rate_ = rate();
    first_ = false;
    begin_trial();
}

void Tempo::end_trial() {
    trial_seconds_ = spent_ + mistake_;
    trying_ = false;
    if (rate() < better * best_rate_) {
        best_ = trial_;
        best_rate_ = rate();
        const bool at_the_end = up_ ? best_ + 1 == sizes_.size() : best_ == 0;
        if (climbing_ && !at_the_end) begin_trial();
    } else {
        up_ = !up_;
        climbing_ = false;
    }
}

void Tempo::begin_trial() {
    const bool can_rise = best_ + 1 < sizes_.size(), can_fall = best_ > 0;
    up_ = can_rise && (up_ || !can_fall);
    trial_ = up_ ? best_ + 1 : best_ - 1;
    trying_ = true;
}

}  // namespace retrograd
