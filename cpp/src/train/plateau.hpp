// A rate that falls whenever what is watched has stopped improving: ReduceLROnPlateau's rule, as a machine
// that is shown one value after each epoch.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>

namespace retrograd {

class Plateau {
  public:
    explicit Plateau(const std::map<std::string, double>& settings);

    // The rate after one more value: lr, or max(lr factor, min_lr) where more than `patience` values in a row
    // were no better than the best so far. NaN is no better.
    [[nodiscard]] double observe(double value, double lr);

    // What it remembers: best, bad, cooldown.
    [[nodiscard]] std::map<std::string, double> state() const;
    void set_state(const std::map<std::string, double>& state);  // throws ArgumentError where one is missing

  private:
    [[nodiscard]] bool improves(double value) const;

    bool maximise_, relative_;
    double factor_, threshold_, min_lr_, eps_;
    std::int64_t patience_, cooldown_;
    double best_;
    std::int64_t bad_ = 0;      // values in a row that were no better
    std::int64_t resting_ = 0;  // values still to come that do not count, after a reduction
};

}  // namespace retrograd
