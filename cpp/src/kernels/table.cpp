// Which kernel table is used: the best that the machine runs, or the one RETROGRAD_ISA names.
#include "kernels/table.hpp"

#include <cstdlib>
#include <string>

#include "simd/isa.hpp"

// What was compiled: one table for each instruction set.
#if defined(__x86_64__)
#define RETROGRAD_FOR_EACH_ISA(X) X(baseline) X(avx2) X(avx512)
#elif defined(__aarch64__)
#define RETROGRAD_FOR_EACH_ISA(X) X(neon)
#else
#define RETROGRAD_FOR_EACH_ISA(X) X(baseline)
#endif

namespace retrograd {

#define RETROGRAD_DECLARE(isa)             \
    namespace isa {                        \
    const Kernels<float>& table_float();   \
    const Kernels<double>& table_double(); \
    }
RETROGRAD_FOR_EACH_ISA(RETROGRAD_DECLARE)
#undef RETROGRAD_DECLARE

namespace {

struct Level {
    Isa isa;
    const Kernels<float>& (*single)();
    const Kernels<double>& (*twice)();
};

#define RETROGRAD_LEVEL(isa) {Isa::isa, &isa::table_float, &isa::table_double},
constexpr Level levels[] = {RETROGRAD_FOR_EACH_ISA(RETROGRAD_LEVEL)};  // in rising order
#undef RETROGRAD_LEVEL
constexpr std::size_t level_count = sizeof levels / sizeof levels[0];

struct Selection {
    Isa runnable[level_count] = {};
    std::size_t runnable_count = 0;
    const Level* level = &levels[0];
    std::string warning;

    Selection() {
        const Isa best = detected_isa();
        for (const Level& one : levels) {
            if (one.isa > best) break;
            level = &one;
            runnable[runnable_count++] = one.isa;
        }
        const char* wanted = std::getenv("RETROGRAD_ISA");
        if (wanted == nullptr || *wanted == '\0') return;
        std::string possible;
        for (std::size_t i = 0; i < runnable_count; ++i) {
            if (name(runnable[i]) == wanted) {
                level = &levels[i];
                return;
            }
            possible += (i == 0 ? "" : ", ") + std::string(name(runnable[i]));
        }
        warning = "RETROGRAD_ISA is '" + std::string(wanted) + "', which " +
                  (parse_isa(wanted) ? "this machine or build does not have" : "is no instruction set") +
                  "; possible here: " + possible + "; using " + std::string(name(level->isa));
    }
};

const Selection& selection() {
    static const Selection selected;
    return selected;
}

template <class T>
const Kernels<T>& table_of(const Level& level) {
    if constexpr (sizeof(T) == sizeof(float)) {
        return level.single();
    } else {
        return level.twice();
    }
}

}  // namespace

template <class T>
const Kernels<T>& kernels() {
    static const Kernels<T>& table = table_of<T>(*selection().level);
    return table;
}

template <class T>
const Kernels<T>* kernels_of(Isa isa) {
    const Selection& selected = selection();
    for (std::size_t i = 0; i < selected.runnable_count; ++i) {
        if (selected.runnable[i] == isa) return &table_of<T>(levels[i]);
    }
    return nullptr;
}

template const Kernels<float>& kernels<float>();
template const Kernels<double>& kernels<double>();
template const Kernels<float>* kernels_of<float>(Isa);
template const Kernels<double>* kernels_of<double>(Isa);

std::span<const Isa> runnable_isas() { return {selection().runnable, selection().runnable_count}; }

std::string_view isa_warning() { return selection().warning; }

}  // namespace retrograd
