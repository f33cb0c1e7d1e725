#include "isa.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace retrograd {

namespace {

#if defined(__x86_64__)

struct Registers {
    unsigned a = 0, b = 0, c = 0, d = 0;
};

/// All zero for a leaf that the processor does not have.
Registers cpuid(unsigned leaf) {
    Registers r;
    if (__get_cpuid_count(leaf, 0, &r.a, &r.b, &r.c, &r.d) == 0) return {};
    return r;
}

/// XCR0: the register states that the operating system saves when it switches threads.
unsigned saved_states() {
    unsigned low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

constexpr bool has_all(unsigned word, unsigned bits) { return (word & bits) == bits; }

constexpr unsigned bit(int position) { return 1U << position; }

Isa detect() {
    const Registers basic = cpuid(1), extended = cpuid(7), amd = cpuid(0x80000001U);
    constexpr unsigned fma = bit(12), movbe = bit(22), osxsave = bit(27), avx = bit(28), f16c = bit(29);
    if (!has_all(basic.c, fma | movbe | osxsave | avx | f16c)) return Isa::baseline;
    constexpr unsigned bmi1 = bit(3), avx2 = bit(5), bmi2 = bit(8), lzcnt = bit(5);
    if (!has_all(extended.b, bmi1 | avx2 | bmi2) || !has_all(amd.c, lzcnt)) return Isa::baseline;
    const unsigned saved = saved_states();
    constexpr unsigned sse_and_avx = bit(1) | bit(2), opmask_and_zmm = bit(5) | bit(6) | bit(7);
    if (!has_all(saved, sse_and_avx)) return Isa::baseline;
    constexpr unsigned f = bit(16), dq = bit(17), cd = bit(28), bw = bit(30), vl = bit(31);
    if (has_all(extended.b, f | dq | cd | bw | vl) && has_all(saved, opmask_and_zmm)) return Isa::avx512;
    return Isa::avx2;
}

#elif defined(__aarch64__)

Isa detect() { return Isa::neon; }

#else

Isa detect() { return Isa::baseline; }

#endif

struct Named {
    Isa isa;
    std::string_view text;
};
constexpr Named names[] = {
    {Isa::baseline, "baseline"}, {Isa::avx2, "avx2"}, {Isa::avx512, "avx512"}, {Isa::neon, "neon"}};

}  // namespace

Isa detected_isa() { return detect(); }

std::string_view name(Isa isa) {
    for (const Named& n : names)
        if (n.isa == isa) return n.text;
    return "unknown";
}

std::optional<Isa> parse_isa(std::string_view text) {
    for (const Named& n : names)
        if (n.text == text) return n.isa;
    return std::nullopt;
}

}  // namespace retrograd
