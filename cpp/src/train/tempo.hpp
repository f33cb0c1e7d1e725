// How many members a team should have, found by measuring: what a machine gives changes while a program runs.
#pragma once

#include <cstdint>
#include <vector>

namespace retrograd {

// Most of the time the best number so far works; now and then a neighbour gets a short trial. The bits of a
// step do not depend on the number, so it may change at any step. Trials take a few percent of the time at
// most.
//
// Beside other busy processes a second member can make a step a hundred times slower: each barrier waits for
// a member whose CPU the system gave to somebody else. So short steps begin with one member, a larger number
// has to prove itself for longer than such a turn takes, and time, not steps, ends a phase.
class Tempo {
  public:
    // Numbers to choose from: 1, 2, 4 ... up to `most`, and `most` itself. `work` is the multiply-adds of a
    // step: where it is long, the beginning is `most`.
    explicit Tempo(int most = 1, std::int64_t work = 0);

    [[nodiscard]] int most() const { return sizes_.back(); }
    [[nodiscard]] int members() const { return sizes_[trying_ ? trial_ : best_]; }

    // How long to go on before the next report; at least one step is done.
    [[nodiscard]] double seconds() const;

    void report(std::int64_t steps, double seconds);

  private:
    [[nodiscard]] double wanted() const;  // seconds of the present phase
    [[nodiscard]] double rate() const;    // seconds a step, in the present phase
    [[nodiscard]] bool is_slow() const;   // what was measured of several members does not hold any more
    void end_phase();
    void end_work();
    void end_trial();
    void begin_trial();

    std::vector<int> sizes_;
    std::size_t best_, trial_ = 0;
    bool trying_ = false, up_ = true;
    bool long_steps_;
    bool first_ = true;         // the phase with which all begins
    bool climbing_ = true;      // one trial comes right after the other as long as they succeed
    bool warm_ = false;         // the phase's first step is behind us
    double best_rate_ = 0;      // seconds a step of the best number, in its last phase
    double trial_seconds_ = 0;  // what the last trial cost
    double mistake_ = 0;        // what a phase cost that was much slower than expected
    double spent_ = 0;          // in the present phase, all of it
    double elapsed_ = 0;        // what counts of it, and its steps
    std::int64_t steps_ = 0;
    double estimate_ = 0;  // seconds a step, of the last report
};

}  // namespace retrograd
