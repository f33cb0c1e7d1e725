// kernels_test [suite...]: runs the named groups of checks, or all of them; `bench` measures the matrix
// product.
#include <cstring>

#include "harness.hpp"
#include "suites.hpp"

int main(int argc, char** argv) {
    struct Suite {
        const char* name;
        void (*run)();
        bool is_check;
    };
    const Suite suites[] = {{"gemm", check_gemm, true},
                            {"products", check_products, true},
                            {"elementwise", check_elementwise, true},
                            {"reductions", check_reductions, true},
                            {"rows", check_rows, true},
                            {"updates", check_updates, true},
                            {"random", check_random, true},
                            {"teams", check_teams, true},
                            {"forks", check_forks, true},
                            {"bench", bench_gemm, false}};
    for (const Suite& suite : suites) {
        bool wanted = argc == 1 && suite.is_check;
        for (int i = 1; i < argc; ++i) wanted |= std::strcmp(argv[i], suite.name) == 0;
        if (!wanted) continue;
        const long before = check::checks;
        suite.run();
        std::printf("%-12s %8ld checks, %ld failures so far\n", suite.name, check::checks - before,
                    check::failures.load());
        std::fflush(stdout);
    }
    return check::failures == 0 ? 0 : 1;
}
