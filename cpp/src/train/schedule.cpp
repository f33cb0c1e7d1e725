#include <algorithm>
#include <array>
#include <string_view>

#include <retrograd/error.hpp>
#include <retrograd/optimizer.hpp>

#include "kernels/table.hpp"

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
    const auto unit = settings.find("unit_epoch");
    const std::int64_t t = unit != settings.end() && unit->second != 0 ? epoch : iteration;
    const double lr = settings.at("lr");
    if (name == "step") {
        return lr * power(settings.at("gamma"),
                          t / std::max<std::int64_t>(1, static_cast<std::int64_t>(settings.at("step_size"))));
    }
    if (name == "exponential") return lr * power(settings.at("gamma"), t);
    if (name == "cosine") {
        const double total = settings.at("total"), low = settings.at("min_lr");
        constexpr double pi = 3.14159265358979323846;
        return low + (lr - low) * (1 + cosine(pi * std::min(static_cast<double>(t), total) / total)) / 2;
    }
    return lr;
}

}  // namespace retrograd
