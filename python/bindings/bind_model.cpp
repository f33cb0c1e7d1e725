#include <algorithm>
#include <cstring>
#include <mutex>
#include <set>

#include <retrograd/error.hpp>
#include <retrograd/model.hpp>
#include <retrograd/model_file.hpp>

#include "numpy.hpp"

namespace retrograd::bindings {
namespace {

struct LayerInfo {
    std::string name, kind;
    Attributes config;
    std::map<std::string, std::string> parameters, buffers, nodes;
    std::vector<std::vector<std::string>> inputs;  // of each call
    Shape output;
    std::int64_t cost = 0;
};

// Multiply-adds of one sample from what a layer was given to its result.
std::int64_t cost_of(const Graph& graph, const std::vector<int>& given, int result) {
    std::int64_t cost = 0;
    std::set<int> seen(given.begin(), given.end());
    std::vector<int> open = {result};
    while (!open.empty()) {
        const int id = open.back();
        open.pop_back();
        if (!graph[id].op || !seen.insert(id).second) continue;
        cost += graph[id].op->cost(graph.operands(id), graph[id].shape);
        open.insert(open.end(), graph[id].inputs.begin(), graph[id].inputs.end());
    }
    return cost;
}

std::vector<LayerInfo> layers_of(const Graph& graph) {
    std::vector<LayerInfo> infos;
    for (const GraphLayer& layer : graph.layers()) {
        LayerInfo info{layer.name, layer.kind, layer.config, {}, {}, {}, {}, {}, 0};
        for (const auto& [role, id] : layer.parameters) info.parameters[role] = graph[id].name;
        for (const auto& [role, id] : layer.buffers) info.buffers[role] = graph[id].name;
        for (const auto& [role, id] : layer.calls.front()) info.nodes[role] = graph[id].name;
        for (std::size_t call = 0; call < layer.calls.size(); ++call) {
            const int result = layer.calls[call].back().second;
            info.output = graph[result].shape;
            info.cost += cost_of(graph, layer.inputs[call], result);
            std::vector<std::string> names;
            for (const int id : layer.inputs[call]) names.push_back(graph[id].name);
            info.inputs.push_back(std::move(names));
        }
        infos.push_back(std::move(info));
    }
    return infos;
}

template <class T>
std::vector<std::pair<std::string, py::array>> views(const Model<T>& model, const std::vector<int>& nodes,
                                                     std::span<T> flat) {
    std::vector<std::pair<std::string, py::array>> list;
    for (const int id : nodes) {
        const GraphNode& node = (*model.graph())[id];
        list.emplace_back(node.name, view_out(flat.data() + node.offset, node.shape.dims, model.owner()));
    }
    return list;
}

template <class T>
py::array flat_view(const Model<T>& model, std::span<T> flat) {
    return view_out(flat.data(), {static_cast<std::int64_t>(flat.size())}, model.owner());
}

// The caller's own arrays for the outputs: of the right type and shape, writable, in C order.
template <class T>
std::vector<std::span<T>> targets_of(const py::sequence& out,
                                     const std::vector<std::vector<std::int64_t>>& shapes) {
    if (out.size() != shapes.size()) {
        throw ShapeError("out: expected " + std::to_string(shapes.size()) + " arrays, got " +
                         std::to_string(out.size()));
    }
    std::vector<std::span<T>> targets;
    for (std::size_t k = 0; k < shapes.size(); ++k) {
        const std::string name = shapes.size() == 1 ? "out" : "out[" + std::to_string(k) + "]";
        const py::object one = out[k];
        (void)view_of(one, name);
        auto array = one.cast<py::array>();
        if (!array.dtype().is(py::dtype::of<T>()) || array.dtype().byteorder() == '>') {
            throw DTypeError(name + ": expected dtype " + std::string(py::str(py::dtype::of<T>())) +
                             ", got " + std::string(py::str(array.dtype())));
        }
        if (!array.writeable())
            throw ArgumentError(name + ": it is read-only; give an array that can be written");
        if (shape_of(array) != shapes[k]) {
            const auto text = [](const std::vector<std::int64_t>& dims) { return Shape{dims, false}.str(); };
            throw ShapeError(name + ": expected shape " + text(shapes[k]) + ", got " + text(shape_of(array)));
        }
        if (!(array.flags() & py::array::c_style)) {
            throw ArgumentError(
                name + ": expected an array in C order; use np.ascontiguousarray, or leave out= away");
        }
        targets.emplace_back(static_cast<T*>(array.mutable_data()), static_cast<std::size_t>(array.size()));
    }
    return targets;
}

template <class T>
std::vector<py::array> predict(Model<T>& model, const py::sequence& x, std::int64_t batch_size, int threads,
                               const py::object& out) {
    const std::vector<ArrayView> arrays = views_of(x, "x");
    const std::int64_t rows = arrays.empty() ? 0 : arrays[0].rows();
    std::vector<std::vector<std::int64_t>> shapes;
    for (const int id : model.outputs()) {
        shapes.push_back((*model.graph())[id].shape.dims);
        shapes.back().insert(shapes.back().begin(), rows);
    }
    std::vector<py::array> results;
    std::vector<std::span<T>> targets;
    if (out.is_none()) {
        for (const auto& shape : shapes) {
            py::array_t<T> array(shape);
            targets.emplace_back(array.mutable_data(), static_cast<std::size_t>(array.size()));
            results.push_back(std::move(array));
        }
    } else {
        targets = targets_of<T>(out.cast<py::sequence>(), shapes);
        results = out.cast<std::vector<py::array>>();
    }
    {
        const py::gil_scoped_release release;
        model.predict(arrays, targets, batch_size, threads, check_signals);
    }
    return results;
}

template <class T>
void bind_model_of(py::module_& m, const char* name) {
    using M = Model<T>;
    py::class_<M, std::shared_ptr<M>>(m, name)
        .def(py::init([](const std::vector<Node>& inputs, const std::vector<Node>& outputs,
                         std::uint64_t seed) { return std::make_shared<M>(inputs, outputs, seed); }),
             py::arg("inputs"), py::arg("outputs"), py::arg("seed"))
        .def_property_readonly("inputs",
                               [](const M& model) {
                                   std::vector<Node> nodes;
                                   for (const int id : model.inputs())
                                       nodes.push_back(model.graph()->node(id));
                                   return nodes;
                               })
        .def_property_readonly("outputs",
                               [](const M& model) {
                                   std::vector<Node> nodes;
                                   for (const int id : model.outputs())
                                       nodes.push_back(model.graph()->node(id));
                                   return nodes;
                               })
        .def_property_readonly("input_names",
                               [](const M& model) {
                                   std::vector<std::string> names;
                                   for (const int id : model.inputs())
                                       names.push_back((*model.graph())[id].name);
                                   return names;
                               })
        .def_property_readonly("node_names",
                               [](const M& model) {
                                   std::vector<std::string> names;
                                   for (const GraphNode& node : model.graph()->nodes())
                                       names.push_back(node.name);
                                   return names;
                               })
        .def(
            "node",
            [](const M& model, const std::string& name_) {
                const int id = model.graph()->find(name_);
                if (id < 0) throw ArgumentError("node: the model has no node named '" + name_ + "'");
                return model.graph()->node(id);
            },
            py::arg("name"))
        .def(
            "name_of",
            [](const M& model, const Node& node) {
                const int id = model.graph()->id(node);
                if (id < 0) throw ArgumentError("name_of: the node is not part of this model");
                return (*model.graph())[id].name;
            },
            py::arg("node"))
        .def("layers", [](const M& model) { return layers_of(*model.graph()); })
        .def("parameters",
             [](const M& model) { return views(model, model.graph()->parameters(), model.parameters()); })
        .def("gradients",
             [](const M& model) { return views(model, model.graph()->parameters(), model.gradients()); })
        .def("buffers",
             [](const M& model) { return views(model, model.graph()->constants(), model.constants()); })
        .def_property_readonly("flat_parameters",
                               [](const M& model) { return flat_view(model, model.parameters()); })
        .def_property_readonly("flat_gradients",
                               [](const M& model) { return flat_view(model, model.gradients()); })
        .def("frozen",
             [](const M& model) {
                 std::vector<std::string> names;
                 const std::vector<bool> frozen = model.frozen();
                 for (int id = 0; id < model.graph()->size(); ++id) {
                     if (frozen[static_cast<std::size_t>(id)]) names.push_back((*model.graph())[id].name);
                 }
                 return names;
             })
        .def(
            "set_frozen",
            [](M& model, const std::vector<std::string>& parameters, bool frozen) {
                for (const std::string& parameter : parameters) model.set_frozen(parameter, frozen);
            },
            py::arg("parameters"), py::arg("frozen"))
        .def("predict", &predict<T>, py::arg("x"), py::arg("batch_size"), py::arg("threads"), py::arg("out"))
        .def("copy", [](const M& model) { return model.template copy_as<T>(); })
        .def("to32", [](const M& model) { return model.template copy_as<float>(); })
        .def("to64", [](const M& model) { return model.template copy_as<double>(); })
        .def(
            "to_bytes",
            [](M& model, const std::map<std::string, std::string>& metadata) {
                std::vector<std::byte> bytes;
                {
                    const py::gil_scoped_release release;
                    const std::lock_guard lock(model.saving());
                    model.metadata() = metadata;
                    bytes = to_bytes(model);
                }
                return py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            },
            py::arg("metadata"))
        .def(
            "save",
            [](M& model, const std::string& path, const std::map<std::string, std::string>& metadata) {
                const py::gil_scoped_release release;
                const std::lock_guard lock(model.saving());
                model.metadata() = metadata;
                save(model, std::filesystem::path(std::u8string(path.begin(), path.end())));
            },
            py::arg("path"), py::arg("metadata"))
        .def_property_readonly("metadata",
                               [](const M& model) {
                                   const py::gil_scoped_release release;
                                   const std::lock_guard lock(model.saving());
                                   return model.metadata();
                               })
        .def(
            "memory",
            [](const M& model, std::int64_t batch) {
                const auto bytes = [](std::span<T> flat) {
                    return static_cast<std::int64_t>(flat.size_bytes());
                };
                return std::map<std::string, std::int64_t>{{"parameters", bytes(model.parameters())},
                                                           {"gradients", bytes(model.own_gradients())},
                                                           {"buffers", bytes(model.constants())},
                                                           {"inference", model.inference_bytes(batch)}};
            },
            py::arg("batch"));
}

py::object cast_model(const AnyModel& model) {
    return std::visit([](const auto& one) -> py::object { return py::cast(one); }, model);
}

std::filesystem::path path_of(const std::string& path) { return {std::u8string(path.begin(), path.end())}; }

}  // namespace

void bind_model(py::module_& m) {
    py::class_<LayerInfo>(m, "LayerInfo", "What a Model knows of one layer.")
        .def_readonly("name", &LayerInfo::name)
        .def_readonly("kind", &LayerInfo::kind)
        .def_property_readonly("config", [](const LayerInfo& info) { return dict_of(info.config); })
        .def_readonly("parameters", &LayerInfo::parameters)
        .def_readonly("buffers", &LayerInfo::buffers)
        .def_property_readonly("calls", [](const LayerInfo& info) { return info.inputs.size(); })
        .def_readonly("inputs", &LayerInfo::inputs)
        .def_readonly("nodes", &LayerInfo::nodes)
        .def_property_readonly("output_shape",
                               [](const LayerInfo& info) {
                                   py::list list;
                                   if (info.output.batched) list.append(py::none());
                                   for (const std::int64_t dim : info.output.dims) list.append(dim);
                                   return py::tuple(list);
                               })
        .def_readonly("cost", &LayerInfo::cost);
    bind_model_of<float>(m, "Model32");
    bind_model_of<double>(m, "Model64");
    m.def(
        "load_model", [](const std::string& path) { return cast_model(load_model(path_of(path))); },
        py::arg("path"));
    m.def(
        "model_from_bytes",
        [](const py::bytes& data) {
            const std::string_view text = data;
            std::vector<std::byte> bytes(text.size());
            if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
            return cast_model(model_from_bytes(std::move(bytes)));
        },
        py::arg("data"));
    m.def(
        "read_tensors",
        [](const std::string& path) {
            py::dict tensors;
            for (const NamedTensor& tensor : read_tensors(path_of(path))) {
                tensors[py::str(tensor.name)] = array_of(tensor, path);
            }
            return tensors;
        },
        py::arg("path"));
}

}  // namespace retrograd::bindings
