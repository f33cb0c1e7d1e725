// How many members a team should have, found by measuring: what a machine gives changes while a program runs.
#pragma once

#include <cstdint>
#include <vector>

namespace retrograd {

// Most of the time the best number so far works; now and then a neighbour gets a short trial. The bits of a
// step do not depend on the number, so it may change at any step. A trial takes a few percent of the time at
// most.
class Tempo {
  public:
    // Numbers to choose from: 1, 2, 4 ... up to `most`, and `most` itself, where it begins.
    explicit Tempo(int most = 1);

    [[nodiscard]] int most() const { return sizes_.back(); }
    [[nodiscard]] int members() const { return sizes_[trying_ ? trial_ : best_]; }

    // How many steps to do before the next report.
    [[nodiscard]] std::int64_t steps() const;

    void report(std::int64_t steps, double seconds);

  private:
    [[nodiscard]] double wanted() const;  // seconds of the present phase
    void end_phase();

    std::vector<int> sizes_;
    std::size_t best_, trial_ = 0;
    bool trying_ = false, up_ = false;
    bool first_ = true;         // a quick comparison comes before the first long phase
    bool warm_ = false;         // the phase's first step is behind us
    double best_rate_ = 0;      // seconds a step of the best number, in its last phase
    double trial_seconds_ = 0;  // what the last trial took
    double elapsed_ = 0;        // of the present phase, and its steps
    std::int64_t steps_ = 0;
    double estimate_ = 0;  // seconds a step, of the last report
};

}  // namespace retrograd
