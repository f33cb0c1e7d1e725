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
    std::array<std::string_view, 3> needs;
};

constexpr Kind kinds[] = {
    {"constant", {"lr"}},
    {"step", {"lr", "step_size", "gamma"}},
    {"exponential", {"lr", "gamma"}},
    {"cosine", {"lr", "total", "min_lr"}},
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
}

double Schedule::rate(std::int64_t iteration, std::int64_t epoch) const {
    return Rate(*this).at(iteration, epoch);
}

Rate::Rate(const Schedule& schedule) : lr_(schedule.settings.at("lr")) {
    const std::map<std::string, double>& settings = schedule.settings;
    const auto unit = settings.find("unit_epoch");
    by_epoch_ = unit != settings.end() && unit->second != 0;
    if (schedule.name == "step") {
        kind_ = Kind::step;
        gamma_ = settings.at("gamma");
        step_size_ = std::max<std::int64_t>(1, static_cast<std::int64_t>(settings.at("step_size")));
    } else if (schedule.name == "exponential") {
        kind_ = Kind::exponential;
        gamma_ = settings.at("gamma");
    } else if (schedule.name == "cosine") {
        kind_ = Kind::cosine;
        total_ = settings.at("total");
        low_ = settings.at("min_lr");
    }
}

double Rate::varying(std::int64_t t) const {
    if (kind_ == Kind::cosine) {
        constexpr double pi = 3.14159265358979323846;
        return low_ + (lr_ - low_) * (1 + cosine(pi * std::min(static_cast<double>(t), total_) / total_)) / 2;
    }
    return lr_ * power(gamma_, t / step_size_);
}

}  // namespace retrograd
