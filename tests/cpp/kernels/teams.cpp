// Teams: every size, failures, regions inside regions, callers side by side, and forks at bad moments.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "base/parallel.hpp"
#include "harness.hpp"
#include "suites.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace {

using namespace check;
using retrograd::Member;
using retrograd::run_team;

// Many barriers; every member must see what all wrote before the last one.
bool counting_works(int threads, int rounds) {
    std::vector<std::int64_t> written(64, 0);
    std::atomic<bool> good{true};
    run_team(threads, [&](const Member& m) {
        for (int round = 1; round <= rounds; ++round) {
            written[static_cast<std::size_t>(m.index())] = round;
            m.barrier();
            for (int i = 0; i < m.size(); ++i) {
                if (written[static_cast<std::size_t>(i)] != round) good = false;
            }
            m.barrier();
        }
    });
    return good;
}

void check_sizes() {
    for (int threads = 1; threads <= 8; ++threads) {
        std::vector<int> touched(1000, 0);
        std::atomic<int> members{0};
        const int size = run_team(threads, [&](const Member& m) {
            ++members;
            m.for_each(1000, [&](std::int64_t i) { ++touched[static_cast<std::size_t>(i)]; });
            m.barrier();
            m.for_range(1000, 16, [&](std::int64_t begin, std::int64_t end) {
                for (std::int64_t i = begin; i < end; ++i) ++touched[static_cast<std::size_t>(i)];
            });
        });
        expect(size == members && size >= 1 && size <= threads, "team: size " + std::to_string(size));
        for (const int times : touched) expect(times == 2, "team: a loop missed an element or took it twice");
        expect(counting_works(threads, 200), "team: barrier let a member through");
    }
    expect(retrograd::available_threads() >= 1, "available_threads");
}

void check_failures() {
    for (int threads = 1; threads <= 8; threads += threads < 4 ? 1 : 4) {
        for (int culprit = 0; culprit < threads; ++culprit) {
            std::string message;
            bool present = false;
            try {
                run_team(threads, [&](const Member& m) {
                    if (m.index() == culprit) present = true;
                    m.barrier();
                    if (m.index() == culprit) throw std::runtime_error("member " + std::to_string(culprit));
                    for (int i = 0; i < 3; ++i) m.barrier();
                });
            } catch (const std::runtime_error& e) {
                message = e.what();
            }
            expect(!present || message == "member " + std::to_string(culprit),
                   "team: the failure did not arrive");
        }
    }
    expect(counting_works(4, 50), "team: after failures");
}

void check_nesting() {
    std::atomic<int> inner_members{0}, outer{0};
    run_team(3, [&](const Member& m) {
        ++outer;
        const int size = run_team(3, [&](const Member& n) {
            ++inner_members;
            n.barrier();
        });
        expect(m.size() == 1 || size == 3, "team: a region inside a region");
        m.barrier();
    });
    expect(inner_members >= outer, "team: nested members");
}

void check_callers_side_by_side() {
    std::atomic<int> bad{0};
    std::vector<std::thread> callers;
    for (int c = 0; c < 4; ++c) {
        callers.emplace_back([&] {
            for (int i = 0; i < 20; ++i) {
                if (!counting_works(3, 20)) ++bad;
            }
        });
    }
    for (std::thread& caller : callers) caller.join();
    expect(bad == 0, "team: callers disturbed each other");
}

#if defined(__SSE2__)
constexpr unsigned flush_to_zero = 0x8040;  // and subnormal operands as zero
unsigned float_settings() { return _mm_getcsr(); }
void set_float_settings(unsigned value) { _mm_setcsr(value); }
#elif defined(__aarch64__)
constexpr std::uint64_t flush_to_zero = std::uint64_t{1} << 24;
std::uint64_t float_settings() {
    std::uint64_t value = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
}
void set_float_settings(std::uint64_t value) { __asm__ volatile("msr fpcr, %0" : : "r"(value)); }
#endif

void check_float_environment() {
#if defined(__SSE2__) || defined(__aarch64__)
    const auto flushes = [] {
        volatile float tiny = 1e-38F;
        volatile float smaller = tiny * 0.01F;
        return smaller == 0;
    };
    const auto before = float_settings();
    set_float_settings(before | flush_to_zero);
    const auto changed = float_settings();
    expect(flushes(), "team: the caller does not flush subnormals to zero, so nothing is checked");
    std::atomic<int> flushed{0};
    run_team(3, [&](const Member&) {
        if (flushes()) ++flushed;
    });
    expect(flushed == 0, "team: a member flushes subnormals to zero");
    expect(float_settings() == changed, "team: the caller's floating-point settings were not put back");
    set_float_settings(before);
#endif
}

// The exit status of f in a forked child; -1 where it did not end in 10 s.
int in_child(const std::function<bool()>& f) {
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        alarm(10);
        _exit(f() ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

void check_forks() {
    retrograd::install_fork_handlers();
    retrograd::install_fork_handlers();
    for (int i = 0; i < 5; ++i) {
        expect(counting_works(4, 20), "fork: before");
        expect(in_child([] { return counting_works(4, 20); }) == 0, "fork: after a region");
        expect(in_child([] { return in_child([] { return counting_works(3, 20); }) == 0; }) == 0,
               "fork: child of a child");
        expect(counting_works(4, 20), "fork: the parent goes on");
    }
    std::atomic<bool> stop{false};
    std::thread busy([&] {
        while (!stop) counting_works(3, 20);
    });
    for (int i = 0; i < 20; ++i) {
        expect(in_child([] { return counting_works(3, 20); }) == 0,
               "fork: while another thread is inside a region");
    }
    stop = true;
    busy.join();
    // A member forks. The child has only that member: a region of its own must run, this one cannot go on.
    for (int round = 0; round < 3; ++round) {
        std::atomic<int> result{-2};
        run_team(3, [&](const Member& m) {
            m.barrier();
            if (m.index() == m.size() - 1) {
                result = in_child([&] {
                    if (!counting_works(3, 20)) return false;
                    if (m.size() == 1) return true;
                    try {
                        m.barrier();
                    } catch (...) {
                        return true;
                    }
                    return false;
                });
            }
            m.barrier();
        });
        expect(result == 0, "fork: by a member, exit " + std::to_string(result));
    }
}

void check_teams() {
    check_sizes();
    check_failures();
    check_nesting();
    check_callers_side_by_side();
    check_float_environment();
    std::printf("backend %s, %d threads available\n", retrograd::parallel_backend(),
                retrograd::available_threads());
}
