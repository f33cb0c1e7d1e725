// Which kernel table is used: the best that the machine runs, or the one RETROGRAD_ISA names.
#include "kernels/table.hpp"

#include <cstdlib>
#include <string>

#include "simd/isa.hpp"

// What was compiled, in rising order. A level has the kernels of the one below where it has none of its own:
// they compute the same bits.
#if defined(__x86_64__)
#define RETROGRAD_FOR_EACH_ISA(X) X(baseline) X(avx2) X(avx512)
#elif defined(__aarch64__)
#define RETROGRAD_FOR_EACH_ISA(X) X(neon)
#else
#define RETROGRAD_FOR_EACH_ISA(X) X(baseline)
#endif

namespace retrograd {

#define RETROGRAD_DECLARE(isa)          \
    namespace isa {                     \
    void fill_float(Kernels<float>&);   \
    void fill_double(Kernels<double>&); \
    }
RETROGRAD_FOR_EACH_ISA(RETROGRAD_DECLARE)
#undef RETROGRAD_DECLARE

namespace {

struct Level {
    Isa isa;
    void (*fill_float)(Kernels<float>&);
    void (*fill_double)(Kernels<double>&);
};

#define RETROGRAD_LEVEL(isa) {Isa::isa, &isa::fill_float, &isa::fill_double},
constexpr Level levels[] = {RETROGRAD_FOR_EACH_ISA(RETROGRAD_LEVEL)};
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
struct Tables {
    Kernels<T> of[level_count] = {};

    Tables() {
        // A level fills its table with instructions of its own: not on a machine that lacks them.
        for (std::size_t i = 0; i < selection().runnable_count; ++i) {
            if (i > 0) of[i] = of[i - 1];
            if constexpr (sizeof(T) == sizeof(float)) {
                levels[i].fill_float(of[i]);
            } else {
                levels[i].fill_double(of[i]);
            }
        }
    }
};

template <class T>
const Kernels<T>& table_of(const Level& level) {
    static const Tables<T> tables;
    return tables.of[&level - levels];
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
