// What the machine can do, asked while the benchmarks run: the rate of fused multiply-adds and of memory.
//
// Arguments: the CPUs to use, in this order. Then a line in, a number out:
//   widths              the widths in bits of vectors that this was compiled for
//   fma BITS THREADS MS GFLOP/s of float32 in registers
//   read THREADS MB     GB/s of reading an array of that size
//   triad THREADS MB    GB/s of a = b + 3 c with three such arrays, counting 3 of them
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using clock_type = std::chrono::steady_clock;

std::vector<int> cpus;
volatile float one = 1.0F;  // read at run time, so that no chain can be computed by the compiler
std::atomic<float> sink{0};

double seconds(clock_type::time_point from, clock_type::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

void pin(int thread) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpus[static_cast<std::size_t>(thread) % cpus.size()], &set);
    sched_setaffinity(0, sizeof set, &set);
}

// Runs work(thread) on every thread at once; the time from the common start until the last is done.
double together(int threads, const std::function<void(int)>& work) {
    std::atomic<int> ready{0};
    std::atomic<bool> go{false};
    std::vector<clock_type::time_point> ends(static_cast<std::size_t>(threads));
    std::vector<std::thread> team;
    for (int t = 0; t < threads; ++t) {
        team.emplace_back([&, t] {
            pin(t);
            ++ready;
            // yielding, because two threads may have to share one CPU
            while (!go.load(std::memory_order_acquire)) std::this_thread::yield();
            work(t);
            ends[static_cast<std::size_t>(t)] = clock_type::now();
        });
    }
    while (ready.load() < threads) std::this_thread::yield();
    const auto start = clock_type::now();
    go.store(true, std::memory_order_release);
    for (auto& thread : team) thread.join();
    return seconds(start, *std::max_element(ends.begin(), ends.end()));
}

typedef float Vector128 __attribute__((vector_size(16)));
typedef float Vector256 __attribute__((vector_size(32)));
typedef float Vector512 __attribute__((vector_size(64)));

// Independent chains, enough to hide the latency of a multiply-add (4 cycles, 2 a cycle, and some to spare).
template <int Bits, typename Vector>
struct Chains {
    static constexpr int chains = 12;
    static constexpr double flops = 2.0 * chains * Bits / 32;

    static void run(long n) {
        Vector sum[chains];
        const Vector factor = Vector{} + one * 0.999F, add = Vector{} + one * 1e-3F;
        for (int i = 0; i < chains; ++i) sum[i] = Vector{} + one * static_cast<float>(i);
        for (long k = 0; k < n; ++k) {
#pragma GCC unroll 12
            for (int i = 0; i < chains; ++i) sum[i] = sum[i] * factor + add;
        }
        Vector total{};
        for (const Vector& s : sum) total += s;
        sink.store(total[0], std::memory_order_relaxed);
    }
};

template <int Bits, typename Vector>
double fma(int threads, double milliseconds) {
    // long enough to be timed, short enough to be stopped: the length is found on one thread first
    static long steps = 0;
    if (steps == 0) {
        const long trial = 100'000;
        double best = 1e9;
        for (int i = 0; i < 20; ++i)
            best = std::min(best, together(1, [&](int) { Chains<Bits, Vector>::run(trial); }));
        steps = static_cast<long>(static_cast<double>(trial) * 1e-3 / best);
    }
    const long n = std::max(1L, static_cast<long>(static_cast<double>(steps) * milliseconds));
    const double time = together(threads, [&](int) { Chains<Bits, Vector>::run(n); });
    return Chains<Bits, Vector>::flops * static_cast<double>(n) * threads / time * 1e-9;
}

double memory(bool triad, int threads, double megabytes) {
    const auto count = static_cast<std::size_t>(megabytes * 1e6 / sizeof(float)) & ~std::size_t{1023};
    const std::size_t part = count / static_cast<std::size_t>(threads) & ~std::size_t{63};
    const auto make = [&] { return std::make_unique_for_overwrite<float[]>(count); };
    const auto a = make(), b = triad ? make() : nullptr, c = triad ? make() : nullptr;
    double best = 1e9;
    for (int repeat = 0; repeat < 5; ++repeat) {
        const double time = together(threads, [&](int t) {
            const std::size_t begin = part * static_cast<std::size_t>(t), end = begin + part;
            if (repeat == 0) {  // pages are given to the thread that writes them first
                for (std::size_t i = begin; i < end; ++i) a[i] = 1;
                for (std::size_t i = begin; triad && i < end; ++i) b[i] = c[i] = 1;
            } else if (triad) {
                float* out = a.get();
                const float *x = b.get(), *y = c.get();
#pragma GCC ivdep
                for (std::size_t i = begin; i < end; ++i) out[i] = x[i] + 3.0F * y[i];
            } else {
                typedef float Vector __attribute__((vector_size(64), aligned(4), may_alias));
                Vector sum[4]{};
                for (std::size_t i = begin; i < end; i += 64) {
                    for (std::size_t k = 0; k < 4; ++k)
                        sum[k] += *reinterpret_cast<const Vector*>(&a[i + 16 * k]);
                }
                sink.store((sum[0] + sum[1] + sum[2] + sum[3])[0], std::memory_order_relaxed);
            }
        });
        if (repeat > 0) best = std::min(best, time);
    }
    const double bytes = static_cast<double>(part) * threads * sizeof(float) * (triad ? 3 : 1);
    return bytes / best * 1e-9;
}

}  // namespace

int main(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) cpus.push_back(std::atoi(argv[i]));
    if (cpus.empty()) cpus.push_back(0);
    std::string line;
    while (std::getline(std::cin, line)) {
        std::istringstream in(line);
        std::string what;
        in >> what;
        if (what == "widths") {
            std::cout << 128;
#if defined(__AVX2__)
            std::cout << ' ' << 256;
#endif
#if defined(__AVX512F__)
            std::cout << ' ' << 512;
#endif
        } else if (what == "fma") {
            int bits = 0, threads = 1;
            double milliseconds = 2;
            in >> bits >> threads >> milliseconds;
            double rate = 0;
            if (bits == 128) rate = fma<128, Vector128>(threads, milliseconds);
#if defined(__AVX2__)
            if (bits == 256) rate = fma<256, Vector256>(threads, milliseconds);
#endif
#if defined(__AVX512F__)
            if (bits == 512) rate = fma<512, Vector512>(threads, milliseconds);
#endif
            std::cout << rate;
        } else {
            int threads = 1;
            double megabytes = 64;
            in >> threads >> megabytes;
            std::cout << memory(what == "triad", threads, megabytes);
        }
        std::cout << std::endl;
    }
}
