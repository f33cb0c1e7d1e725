#include <algorithm>
#include <array>
#include <string_view>

#include <retrograd/error.hpp>
#include <retrograd/optimizer.hpp>

#include "kernels/table.hpp"
#include "train/rate.hpp"

namespace retrograd {
namespace {

struct Kind {
    std::string_view name;
    std::array<std::string_view, 4> needs;
};

constexpr Kind kinds[] = {
    {"constant", {"lr"}},
    {"step", {"lr", "step_size", "gamma"}},
    {"exponential", {"lr", "gamma"}},
    {"cosine", {"lr", "total", "min_lr"}},
    {"warmup_cosine", {"lr", "warmup", "total", "min_lr"}},
    {"one_cycle", {"max_lr", "total"}},
    {"piecewise", {"value_0"}},
    {"plateau", {"lr", "factor", "patience"}},
};

double power(double base, std::int64_t exponent) {
    double result = 1;
    for (; exponent > 0; exponent >>= 1, base *= base) {
        if (exponent & 1) result *= base;
    }
    return result;
}

// Our own cosine: a rate must not differ by a last bit between C libraries.
double cosine(double x) {
    double y = 0;
    find_kernel(kernels<double>().unary, "cos")->forward(&x, &y, 1);
    return y;
}

// From `begin` to `end` along half a cosine, in a time of `length`; then `end`.
double half_cosine(double begin, double end, double time, double length) {
    constexpr double pi = 3.14159265358979323846;
    return end + (begin - end) * (1 + cosine(pi * std::min(time, length) / length)) / 2;
}

}  // namespace

std::vector<std::string> schedule_names() {
    std::vector<std::string> names;
    for (const Kind& kind : kinds) names.emplace_back(kind.name);
    return names;
}

void Schedule::check() const {
    const auto* kind = std::ranges::find(kinds, name, &Kind::name);
    if (kind == std::end(kinds)) {
        std::string known;
        for (const Kind& one : kinds) known += (known.empty() ? "" : ", ") + std::string(one.name);
        throw ArgumentError("schedule: unknown name '" + name + "'; choose one of " + known);
    }
    for (const std::string_view needed : kind->needs) {
        if (!needed.empty() && !settings.contains(std::string(needed))) {
            throw ArgumentError("schedule " + name + ": setting '" + std::string(needed) + "' is missing");
        }
    }
    if (name == "warmup_cosine" && !(settings.at("warmup") < settings.at("total"))) {
        throw ArgumentError("schedule warmup_cosine: warmup must be below total");
    }
    double before = 0;
    for (int k = 1; settings.contains("value_" + std::to_string(k)); ++k) {
        const std::string boundary = "boundary_" + std::to_string(k);
        if (!settings.contains(boundary) || !(settings.at(boundary) > before)) {
            throw ArgumentError("schedule " + name + ": " + boundary +
                                " must be given, and above what stands before it");
        }
        before = settings.at(boundary);
    }
}

double Schedule::rate(std::int64_t iteration, std::int64_t epoch) const {
    return Rate(*this).at(iteration, epoch);
}

Rate::Rate(const Schedule& schedule) {
    const std::map<std::string, double>& settings = schedule.settings;
    const auto get = [&](const std::string& name, double standard) {
        const auto place = settings.find(name);
        return place == settings.end() ? standard : place->second;
    };
    by_epoch_ = get("unit_epoch", 0) != 0;
    lr_ = get("lr", 0);
    low_ = get("min_lr", 0);
    total_ = get("total", 1);
    if (schedule.name == "step") {
        kind_ = Kind::step;
        gamma_ = settings.at("gamma");
        step_size_ = std::max<std::int64_t>(1, static_cast<std::int64_t>(settings.at("step_size")));
    } else if (schedule.name == "exponential") {
        kind_ = Kind::exponential;
        gamma_ = settings.at("gamma");
    } else if (schedule.name == "cosine") {
        kind_ = Kind::cosine;
    } else if (schedule.name == "warmup_cosine") {
        kind_ = Kind::warmup_cosine;
        peak_ = settings.at("warmup");
    } else if (schedule.name == "one_cycle") {
        kind_ = Kind::one_cycle;
        lr_ = settings.at("max_lr");
        start_ = lr_ / get("div_factor", 25);
        low_ = start_ / get("final_div_factor", 1e4);
        peak_ = get("pct_start", 0.3) * total_ - 1;
        total_ -= 1;  // the last of so many updates has the lowest rate
    } else if (schedule.name == "piecewise") {
        kind_ = Kind::piecewise;
        pieces_ = {{0, settings.at("value_0")}};
        for (std::string k = "1"; settings.contains("value_" + k); k = std::to_string(pieces_.size())) {
            pieces_.push_back({get("boundary_" + k, 0), settings.at("value_" + k)});
        }
    } else if (schedule.name == "plateau") {
        plateau_.emplace(settings);
    }
}

double Rate::varying(std::int64_t t) const {
    const auto time = static_cast<double>(t);
    switch (kind_) {
        case Kind::fixed: break;
        case Kind::step:
        case Kind::exponential: return lr_ * power(gamma_, t / step_size_);
        case Kind::cosine: return half_cosine(lr_, low_, time, total_);
        case Kind::warmup_cosine:
            if (time < peak_) return lr_ * (time + 1) / (peak_ + 1);  // no update is wasted on a rate of 0
            return half_cosine(lr_, low_, time - peak_, total_ - peak_);
        case Kind::one_cycle:
            if (time < peak_) return half_cosine(start_, lr_, time, peak_);
            return total_ > peak_ ? half_cosine(lr_, low_, time - peak_, total_ - peak_) : lr_;
        case Kind::piecewise: return piece(time);
    }
    return lr_;
}

double Rate::piece(double t) const {
    double lr = pieces_[0].lr;
    for (const Piece& one : pieces_) {
        if (t >= one.from) lr = one.lr;
    }
    return lr;
}

void Rate::observe(double value) {
    if (!plateau_) {
        throw StateError(
            "observe: this schedule depends on time alone; only plateau (ReduceOnPlateau) looks at values");
    }
    lr_ = plateau_->observe(value, lr_);
}

std::map<std::string, double> Rate::state() const {
    if (!plateau_) return {};
    std::map<std::string, double> state = plateau_->state();
    state["lr"] = lr_;
    return state;
}

void Rate::set_state(const std::map<std::string, double>& state) {
    if (!plateau_) {
        if (state.empty()) return;
        throw StateError("schedule_state: this schedule depends on time alone and has no state");
    }
    if (!state.contains("lr")) {
        throw ArgumentError("schedule_state: 'lr' is missing; expected best, bad, cooldown and lr");
    }
    plateau_->set_state(state);
    lr_ = state.at("lr");
}

}  // namespace retrograd
