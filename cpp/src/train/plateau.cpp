#include "train/plateau.hpp"

#include <algorithm>

#include <retrograd/error.hpp>

namespace retrograd {
namespace {

double setting(const std::map<std::string, double>& settings, const std::string& name, double standard) {
    const auto place = settings.find(name);
    return place == settings.end() ? standard : place->second;
}

}  // namespace

Plateau::Plateau(const std::map<std::string, double>& settings)
    : maximise_(setting(settings, "maximise", 0) != 0),
      relative_(setting(settings, "relative", 1) != 0),
      factor_(settings.at("factor")),
      threshold_(setting(settings, "threshold", 1e-4)),
      min_lr_(setting(settings, "min_lr", 0)),
      eps_(setting(settings, "eps", 1e-8)),
      patience_(static_cast<std::int64_t>(settings.at("patience"))),
      cooldown_(static_cast<std::int64_t>(setting(settings, "cooldown", 0))),
      best_(maximise_ ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity()) {}

bool Plateau::improves(double value) const {
    const double direction = maximise_ ? 1 : -1;
    const double wanted = relative_ ? best_ * (1 + direction * threshold_) : best_ + direction * threshold_;
    return maximise_ ? value > wanted : value < wanted;
}

double Plateau::observe(double value, double lr) {
    if (improves(value)) {
        best_ = value;
        bad_ = 0;
    } else {
        ++bad_;
    }
    if (resting_ > 0) {
        --resting_;
        bad_ = 0;
    }
    if (bad_ <= patience_) return lr;
    bad_ = 0;
    resting_ = cooldown_;
    const double lower = std::max(lr * factor_, min_lr_);
    return lr - lower > eps_ ? lower : lr;
}

std::map<std::string, double> Plateau::state() const {
    return {{"best", best_}, {"bad", static_cast<double>(bad_)}, {"cooldown", static_cast<double>(resting_)}};
}

void Plateau::set_state(const std::map<std::string, double>& state) {
    for (const char* name : {"best", "bad", "cooldown"}) {
        if (!state.contains(name)) {
            throw ArgumentError("schedule_state: '" + std::string(name) +
                                "' is missing; expected best, bad, cooldown and lr");
        }
    }
    best_ = state.at("best");
    bad_ = static_cast<std::int64_t>(state.at("bad"));
    resting_ = static_cast<std::int64_t>(state.at("cooldown"));
}

}  // namespace retrograd
