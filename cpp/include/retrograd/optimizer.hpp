// Optimizers are functions on flat spans; schedules are functions of the iteration.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace retrograd {

// name: sgd, rmsprop, adagrad, adam, adamw. hyper: PyTorch's arguments except lr; switches as 0 or 1.
struct Optimizer {
    std::string name = "adam";
    std::map<std::string, double> hyper;
};

[[nodiscard]] std::vector<std::string> optimizer_names();

// constant(lr), step(lr, step_size, gamma), exponential(lr, gamma), cosine(lr, total, min_lr); counted in
// iterations, or in epochs where `unit_epoch` is 1.
struct Schedule {
    std::string name = "constant";
    std::map<std::string, double> settings = {{"lr", 1e-3}};

    // Throws ArgumentError for an unknown name or a missing setting.
    void check() const;
    [[nodiscard]] double rate(std::int64_t iteration, std::int64_t epoch) const;
};

[[nodiscard]] std::vector<std::string> schedule_names();

// Settings for the parameters whose layer or name matches a glob: lr_scale, weight_decay.
struct ParamGroup {
    std::string pattern;
    std::map<std::string, double> settings;
};

}  // namespace retrograd
