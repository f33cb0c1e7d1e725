// A schedule whose names are looked up: what every step asks.
#pragma once

#include <cstdint>

#include <retrograd/optimizer.hpp>

namespace retrograd {

class Rate {
  public:
    explicit Rate(const Schedule& schedule);  // one that Schedule::check accepts

    // The learning rate after so many iterations and epochs.
    [[nodiscard]] double at(std::int64_t iteration, std::int64_t epoch) const {
        return kind_ == Kind::constant ? lr_ : varying(by_epoch_ ? epoch : iteration);
    }

  private:
    enum class Kind : std::uint8_t { constant, step, exponential, cosine };

    [[nodiscard]] double varying(std::int64_t t) const;

    Kind kind_ = Kind::constant;
    bool by_epoch_ = false;
    double lr_, gamma_ = 1, total_ = 1, low_ = 0;
    std::int64_t step_size_ = 1;
};

}  // namespace retrograd
