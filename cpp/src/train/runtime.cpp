#include <retrograd/runtime.hpp>

#include <retrograd/error.hpp>
#include <retrograd/initializers.hpp>
#include <retrograd/layers.hpp>
#include <retrograd/optimizer.hpp>

#include "base/parallel.hpp"
#include "kernels/table.hpp"
#include "simd/isa.hpp"

namespace retrograd {
namespace {

template <class List>
std::vector<std::string> names_of(const List& list) {
    std::vector<std::string> names;
    for (const auto& kernel : list) names.emplace_back(kernel.name);
    return names;
}

}  // namespace

std::string instruction_set() { return std::string(name(kernels<float>().isa)); }
std::string instruction_set_warning() { return std::string(isa_warning()); }

std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
    for (const Isa isa : runnable_isas()) names.emplace_back(name(isa));
    return names;
}

std::string thread_backend() { return parallel_backend(); }
int usable_threads() { return available_threads(); }
void prepare_process() { install_fork_handlers(); }

std::vector<std::string> member_names(const std::string& list) {
    if (list == "activation") return activation_names();
    if (list == "unary") return names_of(kernels<float>().unary);
    if (list == "binary") return names_of(kernels<float>().binary);
    if (list == "loss") {
        std::vector<std::string> names = names_of(kernels<float>().losses);
        names.emplace_back("cross_entropy");
        return names;
    }
    if (list == "optimizer") return optimizer_names();
    if (list == "schedule") return schedule_names();
    if (list == "initialiser") return initializer_names();
    if (list == "layer") return layer_kinds();
    throw ArgumentError(
        "list: unknown name '" + list +
        "'; choose activation, unary, binary, loss, optimizer, schedule, initialiser or layer");
}

}  // namespace retrograd
