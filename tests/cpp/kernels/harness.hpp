// What the checks of the kernels share: counting failures, random numbers, and memory with a wall behind it.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "kernels/table.hpp"
#include "simd/isa.hpp"

namespace check {

inline std::atomic<long> checks = 0, failures = 0;

inline void expect(bool good, const std::string& what) {
    ++checks;
    if (good) return;
    if (++failures <= 40) std::printf("FAILED: %s\n", what.c_str());
}

inline std::mt19937_64& random_bits() {
    static std::mt19937_64 engine(12345);
    return engine;
}

inline std::int64_t random_below(std::int64_t n) {
    return static_cast<std::int64_t>(random_bits()() % static_cast<std::uint64_t>(n));
}

inline double random_number(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random_bits());
}

// n elements whose last byte (or first, where `at_front`) lies against a page that nobody may touch.
template <class T>
class Guarded {
  public:
    explicit Guarded(std::int64_t n, bool at_front = false) : size_(n) {
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(T);
        const std::size_t inner = (bytes + page - 1) / page * page;
        length_ = inner + 2 * page;
        base_ = static_cast<char*>(
            mmap(nullptr, length_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (base_ == MAP_FAILED) throw std::bad_alloc();
        mprotect(base_, page, PROT_NONE);
        mprotect(base_ + page + inner, page, PROT_NONE);
        data_ = reinterpret_cast<T*>(at_front ? base_ + page : base_ + page + inner - bytes);
    }
    ~Guarded() { munmap(base_, length_); }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;

    T* data() { return data_; }
    const T* data() const { return data_; }
    std::int64_t size() const { return size_; }
    T& operator[](std::int64_t i) { return data_[i]; }
    const T& operator[](std::int64_t i) const { return data_[i]; }

    void fill_random(double low = -1, double high = 1) {
        for (std::int64_t i = 0; i < size_; ++i) data_[i] = static_cast<T>(random_number(low, high));
    }
    void fill(T value) {
        for (std::int64_t i = 0; i < size_; ++i) data_[i] = value;
    }

  private:
    char* base_;
    std::size_t length_;
    T* data_;
    std::int64_t size_;
};

template <class T>
bool same_bits(const T* a, const T* b, std::int64_t n) {
    return std::memcmp(a, b, static_cast<std::size_t>(n) * sizeof(T)) == 0;
}

template <class T>
const char* type_name() {
    return sizeof(T) == 4 ? "float" : "double";
}

template <class T>
constexpr double epsilon = sizeof(T) == 4 ? 0x1p-23 : 0x1p-52;

// f<float>(isa) and f<double>(isa) for every instruction set of this machine.
template <class F>
void for_each_table(F f) {
    for (const retrograd::Isa isa : retrograd::runnable_isas()) {
        f(*retrograd::kernels_of<float>(isa));
        f(*retrograd::kernels_of<double>(isa));
    }
}

template <class T>
std::string label(const retrograd::Kernels<T>& k) {
    return std::string(retrograd::name(k.isa)) + " " + type_name<T>();
}

}  // namespace check
