// GFLOP/s of the matrix product against the FMA peak, both measured here and now, on one thread.
#include <time.h>

#include <algorithm>
#include <functional>

#include "base/aligned_buffer.hpp"
#include "harness.hpp"
#include "suites.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

using namespace check;
// Time of this thread alone: other work on the machine must not count.
double now() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double seconds_of(const std::function<void()>& f) {
    f();
    double best = 1e30;
    const double end = now() + 0.1;
    int repeats = 1;
    do {
        const double start = now();
        for (int i = 0; i < repeats; ++i) f();
        const double total = now() - start;
        best = std::min(best, total / repeats);
        if (total < 1e-3) repeats *= 2;
    } while (now() < end);
    return best;
}

#if defined(__x86_64__)
// Twelve independent chains, enough to hide the latency of an FMA; assembly, or the compiler would fold them.
#define RETROGRAD_CHAINS(type, load, constraint)                                              \
    type f = load(0.999F), x0 = f, x1 = f, x2 = f, x3 = f, x4 = f, x5 = f;                    \
    type x6 = f, x7 = f, x8 = f, x9 = f, x10 = f, x11 = f;                                    \
    for (long i = 0; i < n; ++i) {                                                            \
        __asm__ volatile(                                                                     \
            "vfmadd213ps %6, %6, %0\n vfmadd213ps %6, %6, %1\n vfmadd213ps %6, %6, %2\n"      \
            "vfmadd213ps %6, %6, %3\n vfmadd213ps %6, %6, %4\n vfmadd213ps %6, %6, %5"        \
            : "+" constraint(x0), "+" constraint(x1), "+" constraint(x2), "+" constraint(x3), \
              "+" constraint(x4), "+" constraint(x5)                                          \
            : constraint(f));                                                                 \
        __asm__ volatile(                                                                     \
            "vfmadd213ps %6, %6, %0\n vfmadd213ps %6, %6, %1\n vfmadd213ps %6, %6, %2\n"      \
            "vfmadd213ps %6, %6, %3\n vfmadd213ps %6, %6, %4\n vfmadd213ps %6, %6, %5"        \
            : "+" constraint(x6), "+" constraint(x7), "+" constraint(x8), "+" constraint(x9), \
              "+" constraint(x10), "+" constraint(x11)                                        \
            : constraint(f));                                                                 \
    }

__attribute__((target("avx512f"))) void fma_512(long n) { RETROGRAD_CHAINS(__m512, _mm512_set1_ps, "v") }
__attribute__((target("avx2,fma"))) void fma_256(long n) { RETROGRAD_CHAINS(__m256, _mm256_set1_ps, "x") }
#endif

// In GFLOP/s, for floats; half of it for doubles.
double peak(retrograd::Isa isa) {
    [[maybe_unused]] constexpr long n = 20000;
#if defined(__x86_64__)
    if (isa == retrograd::Isa::avx512) return 12 * n * 32 / seconds_of([] { fma_512(n); }) / 1e9;
    if (isa == retrograd::Isa::avx2) return 12 * n * 16 / seconds_of([] { fma_256(n); }) / 1e9;
#endif
    static_cast<void>(isa);
    return 0;
}

struct Shape {
    const char* what;
    std::int64_t m, n, k;
    int kind;  // 0: x W^T, 1: delta W, 2: delta^T x, 3: A B
};

template <class T>
void bench(const retrograd::Kernels<T>& kernels, const Shape& s, double limit) {
    retrograd::AlignedBuffer<T> a(s.m * s.k), b(s.k * s.n), c(s.m * s.n),
        scratch(kernels.gemm_scratch_size(s.m, s.n, s.k));
    for (T& v : a) v = static_cast<T>(random_number(-1, 1));
    for (T& v : b) v = static_cast<T>(random_number(-1, 1));
    retrograd::MatrixProduct<T> p{};
    p.m = s.m, p.n = s.n, p.k = s.k;
    p.a = a.data(), p.b = b.data(), p.c = c.data(), p.c_row = s.n;
    p.a_row = s.kind == 2 ? 1 : s.k, p.a_col = s.kind == 2 ? s.m : 1;
    p.b_row = s.kind == 0 ? 1 : s.n, p.b_col = s.kind == 0 ? s.k : 1;
    const double t = seconds_of([&] { kernels.gemm(p, 0, s.m, 0, s.n, scratch.data()); });
    const double speed = 2.0 * static_cast<double>(s.m * s.n * s.k) / t / 1e9;
    std::printf(" %8.1f (%3.0f%%)", speed, 100 * speed / limit);
}

}  // namespace

void bench_gemm() {
    const Shape shapes[] = {
        {"W1 forward", 1, 2, 2, 0},
        {"W1 dW", 2, 2, 1, 2},
        {"W2 10-64 b32", 32, 64, 10, 0},
        {"W2 64-64", 32, 64, 64, 0},
        {"W2 64-64 dx", 32, 64, 64, 1},
        {"W2 64-64 dW", 64, 64, 32, 2},
        {"W2 64-1", 32, 1, 64, 0},
        {"W2 64-1 dx", 32, 64, 1, 1},
        {"W2 64-1 dW", 1, 64, 32, 2},
        {"W2 10-64 dW", 64, 10, 32, 2},
        {"W6 64-64 b16", 16, 64, 64, 0},
        {"W6 dx", 16, 64, 64, 1},
        {"W6 dW", 64, 64, 16, 2},
        {"W3 64-100 b64", 64, 100, 64, 0},
        {"W3 100-10", 64, 10, 100, 0},
        {"W3 100-10 dx", 64, 100, 10, 1},
        {"W3 100-10 dW", 10, 100, 64, 2},
        {"W3 64-100 dW", 100, 64, 64, 2},
        {"W4a 784-128 b128", 128, 128, 784, 0},
        {"W4a dW", 128, 784, 128, 2},
        {"W4a 128-10", 128, 10, 128, 0},
        {"W4a 128-10 dx", 128, 128, 10, 1},
        {"W4a 128-10 dW", 10, 128, 128, 2},
        {"W4b 784-512 b128", 128, 512, 784, 0},
        {"W4b 512-512 dx", 128, 512, 512, 1},
        {"W4b dW", 512, 512, 128, 2},
        {"W4b b32 fwd", 32, 512, 784, 0},
        {"W4b b32 dx", 32, 512, 512, 1},
        {"W4b b32 dW", 512, 784, 32, 2},
        {"W5 fwd", 1024, 2048, 2048, 0},
        {"W5 dx", 1024, 2048, 2048, 1},
        {"W5 dW", 2048, 2048, 1024, 2},
        {"W8 784-512 b1", 1, 512, 784, 0},
        {"W8 512-512 b1", 1, 512, 512, 0},
        {"W8 10-64 b1", 1, 64, 10, 0},
        {"W8 64-64 b1", 1, 64, 64, 0},
        {"512-512 b1 dx", 1, 512, 512, 1},
        {"512-512 b1 dW", 512, 512, 1, 2},
        {"W10 32-16 b10000", 10000, 16, 32, 0},
        {"W10 dW", 16, 32, 512, 2},
        {"W10 dx", 10000, 32, 16, 1},
        {"W10 4-32", 10000, 32, 4, 0},
        {"W11 10-45 b128", 128, 45, 10, 0},
        {"W11 46-46", 128, 46, 46, 0},
        {"square 64", 64, 64, 64, 3},
        {"square 128", 128, 128, 128, 3},
        {"square 256", 256, 256, 256, 3},
        {"square 512", 512, 512, 512, 3},
        {"square 1024", 1024, 1024, 1024, 3},
        {"square 256 x W^T", 256, 256, 256, 0},
        {"square 1000", 1000, 1000, 1000, 3},
    };
    for (const retrograd::Isa isa : retrograd::runnable_isas()) {
        const double limit = peak(isa);
        std::printf("\n%s: FMA peak %.1f GFLOP/s (float)\n%-20s %16s %16s\n",
                    std::string(retrograd::name(isa)).c_str(), limit, "", "float", "double");
        if (limit == 0) continue;
        const char* only = std::getenv("SHAPE");
        for (const Shape& s : shapes) {
            if (only != nullptr && std::string(s.what).find(only) == std::string::npos) continue;
            std::printf("%-20s", s.what);
            bench(*retrograd::kernels_of<float>(isa), s, limit);
            if (std::getenv("FLOAT") == nullptr) bench(*retrograd::kernels_of<double>(isa), s, limit / 2);
            std::printf("\n");
            std::fflush(stdout);
        }
        std::printf("FMA peak afterwards %.1f\n", peak(isa));
    }
}
