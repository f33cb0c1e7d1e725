// Optimizers are functions on flat spans; schedules are functions of the iteration.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace retrograd {

// constant(lr), step(lr, step_size, gamma), exponential(lr, gamma), cosine(lr, total, min_lr),
// warmup_cosine(lr, warmup, total, min_lr), one_cycle(max_lr, total, pct_start = 0.3, div_factor = 25,
// final_div_factor = 1e4), piecewise(value_0, boundary_1, value_1, boundary_2, ...): value_k from boundary_k
// on; counted in iterations, or in epochs where `unit_epoch` is 1.
// plateau(lr, factor, patience, maximise = 0, threshold = 1e-4, relative = 1, cooldown = 0, min_lr = 0,
// eps = 1e-8) is shown a value after each epoch by Trainer::observe.
struct Schedule {
    std::string name = "constant";
    std::map<std::string, double> settings = {{"lr", 1e-3}};

    Schedule() = default;
    Schedule(double lr) : settings{{"lr", lr}} {}  // NOLINT: a number is the constant rate
    Schedule(std::string rule, std::map<std::string, double> numbers)
        : name(std::move(rule)), settings(std::move(numbers)) {}

    // Throws ArgumentError for an unknown name or a missing setting.
    void check() const;
    // The rate after so much time; of a plateau that was shown nothing.
    [[nodiscard]] double rate(std::int64_t iteration, std::int64_t epoch) const;
};

[[nodiscard]] std::vector<std::string> schedule_names();

// name: sgd, rmsprop, adagrad, adam, adamw, adadelta, nadam, radam, adamax, lion, rprop. hyper: PyTorch's
// arguments except lr; switches as 0 or 1, pairs as beta1 and beta2, eta_minus and eta_plus, step_min and
// step_max. optimizers.hpp has a function for each.
struct Optimizer {
    std::string name = "adam";
    std::map<std::string, double> hyper = {};
    Schedule lr = {};
};

[[nodiscard]] std::vector<std::string> optimizer_names();

// Settings for the parameters whose layer or name matches a glob: lr_scale, weight_decay.
struct ParamGroup {
    std::string pattern;
    std::map<std::string, double> settings = {};
};

}  // namespace retrograd
