// A table of contents.
#include <retrograd/initializers.hpp>
#include <retrograd/layers.hpp>
#include <retrograd/optimizer.hpp>
#include <retrograd/random.hpp>
#include <retrograd/runtime.hpp>
#include <retrograd/trainer.hpp>
#include <retrograd/version.hpp>

#include "numpy.hpp"

namespace retrograd::bindings {
namespace {

py::array order_of(std::int64_t n, Purpose purpose, std::uint64_t seed, std::uint32_t step) {
    return array_out(permutation(n, {seed, purpose, 0, step}), {n});
}

}  // namespace
}  // namespace retrograd::bindings

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
    using namespace retrograd;
    using namespace retrograd::bindings;
    prepare_process();
    m.doc() = "The C++ core of retrograd; private: import retrograd.";
    m.attr("__version__") = RETROGRAD_VERSION;
    m.attr("recorded_every") = recorded_every;
    m.def("isa", &instruction_set);
    m.def("isa_warning", &instruction_set_warning);
    m.def("runnable_isas", &instruction_sets);
    m.def("parallel_backend", &thread_backend);
    m.def("available_threads", &usable_threads);
    m.def("op_names", &op_names);
    m.def("op_list", &member_names, py::arg("kind"));
    m.def(
        "permutation",
        [](std::int64_t n, std::uint64_t seed, std::uint32_t epoch) {
            return order_of(n, Purpose::shuffle, seed, epoch);
        },
        py::arg("n"), py::arg("seed"), py::arg("epoch"));
    m.def(
        "split_order",
        [](std::int64_t n, std::uint64_t seed) { return order_of(n, Purpose::split, seed, 0); }, py::arg("n"),
        py::arg("seed"));
    bind_errors(m);
    bind_graph(m);
    bind_evaluation(m);
    bind_model(m);
    bind_predict(m);
    bind_trainer(m);
    bind_checkpoint(m);
}
