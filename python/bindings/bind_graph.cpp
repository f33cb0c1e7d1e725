#include <retrograd/graph.hpp>
#include <retrograd/layers.hpp>

#include "numpy.hpp"

namespace retrograd::bindings {
namespace {

std::vector<std::int64_t> dims_of(const py::sequence& dims) { return dims.cast<std::vector<std::int64_t>>(); }

py::tuple shape_tuple(const Shape& shape) {
    py::list list;
    if (shape.batched) list.append(py::none());
    for (const std::int64_t dim : shape.dims) list.append(dim);
    return py::tuple(list);
}

Initial values_of(const py::array& array) {
    Initial initial;
    initial.rule = "values";
    initial.values = std::make_shared<const std::vector<double>>(doubles_of(array));
    return initial;
}

const char* kind_name(NodeKind kind) {
    constexpr const char* names[] = {"input", "placeholder", "parameter", "constant", "operation"};
    return names[static_cast<int>(kind)];
}

}  // namespace

void bind_graph(py::module_& m) {
    py::class_<Node>(m, "Node", "An immutable, shape-checked expression.", py::dynamic_attr())
        .def_property_readonly("shape", [](const Node& n) { return shape_tuple(n.shape()); })
        .def_property_readonly("sample_shape",
                               [](const Node& n) { return py::tuple(py::cast(n.shape().dims)); })
        .def_property_readonly("batched", [](const Node& n) { return n.shape().batched; })
        .def_property_readonly("dtype",
                               [](const Node& n) { return n.dtype() == DType::index ? "index" : "real"; })
        .def_property_readonly("kind", [](const Node& n) { return kind_name(n.kind()); })
        .def_property_readonly(
            "op", [](const Node& n) { return n.op() ? std::string(n.op()->name()) : std::string(); })
        .def_property_readonly(
            "attributes", [](const Node& n) { return n.op() ? dict_of(n.op()->attributes()) : py::dict(); })
        .def_property_readonly("inputs", [](const Node& n) { return n.inputs(); })
        .def_property_readonly("name", [](const Node& n) { return n.name(); })
        .def("__eq__",
             [](const Node& a, const py::object& b) {
                 return py::isinstance<Node>(b) && a.identity() == b.cast<const Node&>().identity();
             })
        .def("__hash__", [](const Node& n) { return std::hash<const void*>{}(n.identity()); });

    m.def(
        "input",
        [](const py::sequence& dims, const std::string& dtype, const std::string& name) {
            return input(dims_of(dims), dtype == "index" ? DType::index : DType::real, name);
        },
        py::arg("dims"), py::arg("dtype"), py::arg("name"));
    m.def(
        "placeholder",
        [](const py::sequence& dims, const std::string& name) { return placeholder(dims_of(dims), name); },
        py::arg("dims"), py::arg("name"));
    m.def(
        "variable",
        [](const py::array& value, const std::string& name) {
            return parameter(shape_of(value), values_of(value), name);
        },
        py::arg("value"), py::arg("name"));
    m.def(
        "variable_by_rule",
        [](const py::sequence& dims, const std::string& rule, double a, double b, std::int64_t fan_in,
           std::int64_t fan_out, const std::string& name) {
            return parameter(dims_of(dims), {rule, a, b, fan_in, fan_out, nullptr}, name);
        },
        py::arg("dims"), py::arg("rule"), py::arg("a"), py::arg("b"), py::arg("fan_in"), py::arg("fan_out"),
        py::arg("name"));
    m.def(
        "constant",
        [](const py::array& value, const std::string& name) {
            return constant(shape_of(value), doubles_of(value), name);
        },
        py::arg("value"), py::arg("name"));
    m.def(
        "apply",
        [](const std::string& op, const py::dict& attributes, const std::vector<Node>& inputs,
           const std::string& who) { return apply(op, attributes_of(attributes), inputs, who); },
        py::arg("op"), py::arg("attributes"), py::arg("inputs"), py::arg("who") = "");

    py::class_<Layer>(m, "Layer",
                      "A builder of nodes. The first call makes the parameters; later calls share them.")
        .def(py::init([](const std::string& kind, const py::dict& config, const std::string& name,
                         const py::object& activation, const py::object& initial) {
                 Layer::Function function;
                 if (!activation.is_none()) function = activation.cast<Layer::Function>();
                 std::map<std::string, Initial> initials;
                 if (!initial.is_none()) {
                     for (const auto& [role, array] : initial.cast<py::dict>()) {
                         initials[role.cast<std::string>()] = values_of(array.cast<py::array>());
                     }
                 }
                 return Layer(kind, attributes_of(config), name, std::move(function), std::move(initials));
             }),
             py::arg("kind"), py::arg("config"), py::arg("name") = "", py::arg("activation") = py::none(),
             py::arg("initial") = py::none())
        .def(
            "__call__",
            [](Layer& layer, const std::vector<Node>& inputs) {
                const py::gil_scoped_release release;  // an activation of Python's takes it back
                return layer(inputs);
            },
            py::arg("inputs"))
        .def_property_readonly("kind", &Layer::kind)
        .def_property_readonly("name", &Layer::name)
        .def_property_readonly("config", [](const Layer& layer) { return dict_of(layer.config()); });
}

}  // namespace retrograd::bindings
