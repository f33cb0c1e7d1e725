// The choice of the number of threads, on machines made up for it: real ones are never twice the same.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>

#include "train/tempo.hpp"

namespace {

int failures = 0;

void check(bool good, const std::string& what, double found) {
    if (good) return;
    ++failures;
    std::fprintf(stderr, "%s: found %g\n", what.c_str(), found);
}

// Seconds that a step takes with so many members when it begins at time t.
using Machine = std::function<double(int members, double t)>;

// Steps a second over so many seconds, run as an epoch does it: at least one step, then steps until the time
// is over.
double train(retrograd::Tempo& tempo, const Machine& machine, double seconds, double start = 0) {
    double t = start;
    std::int64_t steps = 0;
    while (t < start + seconds) {
        const int members = tempo.members();
        const double begin = t, left = tempo.seconds();
        std::int64_t done = 0;
        do {
            t += machine(members, t);
            ++done;
        } while (t < begin + left);
        steps += done;
        tempo.report(done, t - begin);
    }
    return static_cast<double>(steps) / (t - start);
}

constexpr double step = 100e-6;

double ideal(int members, double) { return step / members; }
double useless(int, double) { return step; }

// Another process on one of two CPUs: one member moves to the free one, the second waits for its turns.
double beside_one(int members, double) { return members == 1 ? step : 20e-3; }

// The same, where the second member runs undisturbed for 4 ms, then not at all for 4 ms.
double in_turns(int members, double t) {
    if (members == 1) return step;
    const double phase = std::fmod(t, 8e-3);
    return phase < 4e-3 ? step / 2 : 8e-3 - phase + step / 2;
}

// Processes on all CPUs: everybody is stopped for 4 ms in 8.
double beside_all(int members, double t) {
    if (members > 1) return 20e-3;
    const double phase = std::fmod(t, 8e-3);
    return phase < 4e-3 ? step : 8e-3 - phase + step;
}

void finds_the_best() {
    for (const int most : {2, 3, 4, 16, 48, 64}) {
        retrograd::Tempo tempo(most);
        check(tempo.members() == 1, "short steps begin with one member", tempo.members());
        (void)train(tempo, ideal, 0.3);
        const double lost = 1 - train(tempo, ideal, 10) * step / most;
        check(lost < 0.04, "all of " + std::to_string(most) + " CPUs are used; share lost", lost);
    }
    retrograd::Tempo alone(1);
    (void)train(alone, ideal, 1);
    check(alone.members() == 1, "one CPU", alone.members());
    retrograd::Tempo idle(8);
    const double gain = train(idle, useless, 5) * step;
    check(idle.members() <= 2 && gain > 0.99, "members that bring nothing are let go", idle.members());
}

// Against one member on the same machine, from the first step on.
void loses_little_beside_others() {
    const struct {
        const char* name;
        Machine machine;
    } machines[] = {{"beside one", beside_one}, {"in turns", in_turns}, {"beside all", beside_all}};
    for (const auto& [name, machine] : machines) {
        for (const double seconds : {0.5, 5.0}) {
            retrograd::Tempo one(1), chosen(2);
            const double ratio = train(one, machine, seconds) / train(chosen, machine, seconds);
            check(ratio < (seconds < 1 ? 1.2 : 1.05), std::string(name) + ": time over one member's", ratio);
        }
    }
}

void follows_what_changes() {
    retrograd::Tempo tempo(2);
    (void)train(tempo, ideal, 5);
    check(tempo.members() == 2, "two before anybody comes", tempo.members());
    const double first = train(tempo, beside_one, 0.5, 5) * step;
    check(first > 0.7, "the half second in which another process comes", first);
    const double then = train(tempo, beside_one, 10, 5.5) * step;
    check(then > 0.95, "beside it", then);
    (void)train(tempo, ideal, 2.5, 15.5);
    const double again = train(tempo, ideal, 5, 18) * step / 2;
    check(again > 0.95, "two again when it has gone", again);
}

void long_steps_begin_with_all() {
    const auto slow = [](int members, double) { return 1.0 / members; };
    retrograd::Tempo tempo(4, std::int64_t{1} << 40);
    check(tempo.members() == 4, "members of the first long step", tempo.members());
    const double speed = train(tempo, slow, 200) / 4;
    check(speed > 0.93, "speed over that of all four", speed);
}

}  // namespace

int main() {
    finds_the_best();
    loses_little_beside_others();
    follows_what_changes();
    long_steps_begin_with_all();
    if (failures == 0) std::puts("tempo: all passed");
    return failures == 0 ? 0 : 1;
}
