// The bridge from an Optimizer's settings to the rule of functions/updates.hpp that carries it out.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <retrograd/optimizer.hpp>

#include "kernels/table.hpp"

namespace retrograd {

class Hyper;  // functions/updates.hpp

using Coefficients = std::array<double, max_coefficients>;

class UpdateRule {
  public:
    explicit UpdateRule(const Optimizer& optimizer);  // throws ArgumentError for an unknown name or setting

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] const std::vector<std::string>& slots() const { return slots_; }
    [[nodiscard]] double initial_slot(
        std::size_t slot) const;  // what a slot is filled with before the first step

    // Writes the step's constants; t counts from 1.
    void prepare(std::int64_t t, double lr, Coefficients& c) const { prepare_(*hyper_, t, lr, c.data()); }

    [[nodiscard]] UpdateRule with_weight_decay(double weight_decay) const;

    // Whether an update from numbers below 1e15 stays below what a float holds, for rates below 1e3.
    [[nodiscard]] bool tame() const;

    // Whether a weight whose gradient is 0, and its slots, stay as they are.
    [[nodiscard]] bool rests() const;

  private:
    Optimizer optimizer_;
    std::string name_;
    std::vector<std::string> slots_;
    std::shared_ptr<const Hyper> hyper_;
    void (*prepare_)(const Hyper&, std::int64_t t, double lr, double* coefficients);
};

}  // namespace retrograd
