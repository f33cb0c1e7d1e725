// The floating-point settings our bits depend on.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace retrograd {

// Rounding to nearest, subnormal numbers kept, no traps; what stood there before comes back at the end.
// Another package in the process may have switched subnormals off for a thread, which would change our
// results.
class FloatEnvironment {
  public:
    FloatEnvironment() : saved_(read()) { write(standard); }
    ~FloatEnvironment() { write(saved_); }
    FloatEnvironment(const FloatEnvironment&) = delete;
    FloatEnvironment& operator=(const FloatEnvironment&) = delete;

  private:
#if defined(__SSE2__)
    using Register = unsigned;
    static constexpr Register standard = 0x1F80;
    static Register read() { return _mm_getcsr(); }
    static void write(Register value) { _mm_setcsr(value); }
#elif defined(__aarch64__)
    using Register = std::uint64_t;
    static constexpr Register standard = 0;
    static Register read() {
        Register value;
        __asm__ volatile("mrs %0, fpcr" : "=r"(value));
        return value;
    }
    static void write(Register value) { __asm__ volatile("msr fpcr, %0" : : "r"(value)); }
#else
    using Register = int;
    static constexpr Register standard = 0;
    static Register read() { return 0; }
    static void write(Register) {}
#endif

    Register saved_;
};

}  // namespace retrograd
