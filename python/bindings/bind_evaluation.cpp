#include <retrograd/evaluation.hpp>

#include "numpy.hpp"

namespace retrograd::bindings {
namespace {

using Double = Evaluation<double>;

// A node's numbers as an array; None where there are none. How many samples there are is counted in them, for
// another thread may run the graph meanwhile.
py::object array_of(const Double& evaluation, int id, std::vector<double> numbers) {
    if (numbers.empty()) return py::none();
    const Shape& shape = evaluation.graph()[id].shape;
    std::vector<std::int64_t> dims = shape.dims;
    if (shape.batched) {
        const std::int64_t samples = static_cast<std::int64_t>(numbers.size()) / Shape{dims, false}.size();
        dims.insert(dims.begin(), samples);
    }
    return array_out(std::move(numbers), std::move(dims));
}

}  // namespace

void bind_evaluation(py::module_& m) {
    py::class_<Double>(m, "Evaluation", "An expression that is run in float64, all numbers kept.")
        .def(py::init<const Node&, std::uint64_t>(), py::arg("result"), py::arg("seed") = 0)
        .def_property_readonly("nodes",
                               [](const Double& e) {
                                   std::vector<Node> nodes;
                                   for (int id = 0; id < e.graph().size(); ++id)
                                       nodes.push_back(e.graph().node(id));
                                   return nodes;
                               })
        .def_property_readonly("names",
                               [](const Double& e) {
                                   std::vector<std::string> names;
                                   for (const GraphNode& node : e.graph().nodes()) names.push_back(node.name);
                                   return names;
                               })
        .def_property_readonly("result", &Double::result)
        .def_property_readonly("visits", &Double::visits)
        .def_property_readonly("batch", &Double::batch)
        .def(
            "forward",
            [](Double& e, const std::vector<std::pair<int, py::array>>& fed) {
                std::vector<std::pair<int, ArrayView>> arrays;
                for (const auto& [id, array] : fed)
                    arrays.emplace_back(id, view_of(array, e.graph()[id].name));
                const py::gil_scoped_release release;
                e.forward(arrays);
            },
            py::arg("fed"))
        .def(
            "backward",
            [](Double& e, const py::array_t<double, py::array::c_style>& seed) {
                const std::span numbers(seed.data(), static_cast<std::size_t>(seed.size()));
                const py::gil_scoped_release release;
                e.backward(numbers);
            },
            py::arg("seed"))
        .def(
            "value", [](const Double& e, int id) { return array_of(e, id, e.value(id)); }, py::arg("id"))
        .def(
            "gradient", [](const Double& e, int id) { return array_of(e, id, e.gradient(id)); },
            py::arg("id"));
}

}  // namespace retrograd::bindings
