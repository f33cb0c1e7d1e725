// A schedule whose names are looked up: what every step asks.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <retrograd/optimizer.hpp>

#include "train/plateau.hpp"

namespace retrograd {

class Rate {
  public:
    explicit Rate(const Schedule& schedule);  // one that Schedule::check accepts

    // The learning rate after so many iterations and epochs.
    [[nodiscard]] double at(std::int64_t iteration, std::int64_t epoch) const {
        return kind_ == Kind::fixed ? lr_ : varying(by_epoch_ ? epoch : iteration);
    }

    // Shows the value of an epoch to a schedule that waits for one; StateError for one of time alone.
    void observe(double value);

    // What cannot be known from the iteration: empty for a schedule of time alone.
    [[nodiscard]] std::map<std::string, double> state() const;
    void set_state(const std::map<std::string, double>& state);

  private:
    enum class Kind : std::uint8_t { fixed, step, exponential, cosine, warmup_cosine, one_cycle, piecewise };
    struct Piece {  // a rate, and when it begins
        double from, lr;
    };

    [[nodiscard]] double varying(std::int64_t t) const;
    [[nodiscard]] double piece(double t) const;

    Kind kind_ = Kind::fixed;
    bool by_epoch_ = false;
    // lr_ is the highest rate, reached at peak_ (0 unless there is a rise from start_), low_ the last, from
    // total_ on.
    double lr_ = 0, gamma_ = 1, start_ = 0, peak_ = 0, total_ = 1, low_ = 0;
    std::int64_t step_size_ = 1;
    std::vector<Piece> pieces_;  // of ascending times, the first at 0
    std::optional<Plateau> plateau_;
};

}  // namespace retrograd
