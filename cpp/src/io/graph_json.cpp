#include "io/graph_json.hpp"

#include <map>
#include <optional>
#include <type_traits>

#include <retrograd/error.hpp>

namespace retrograd::io {
namespace {

constexpr const char* kind_names[] = {"input", "placeholder", "parameter", "constant", "operation"};

Json to_json(const Attribute& attribute) {
    return std::visit(
        [](const auto& value) -> Json {
            using V = std::decay_t<decltype(value)>;
            if constexpr (std::is_same_v<V, std::vector<std::int64_t>> ||
                          std::is_same_v<V, std::vector<double>>) {
                Json list = Json::array();
                for (const auto& one : value) list.push(one);
                return list;
            } else {
                return Json(value);
            }
        },
        attribute);
}

}  // namespace

Json to_json(const Attributes& attributes) {
    Json object = Json::object();
    for (const auto& [key, value] : attributes) object.set(key, to_json(value));
    return object;
}

Attributes attributes_from(const Json& json) {
    Attributes attributes;
    for (const Json::Member& member : json.as_object("attributes")) {
        const Json& value = member.value;
        switch (value.kind()) {
            case JsonKind::boolean: attributes[member.key] = value.as_bool(member.key); break;
            case JsonKind::integer: attributes[member.key] = value.as_int(member.key); break;
            case JsonKind::real: attributes[member.key] = value.as_double(member.key); break;
            case JsonKind::string: attributes[member.key] = value.as_string(member.key); break;
            case JsonKind::array: {
                const Json::Array& list = value.as_array(member.key);
                if (!list.empty() && list[0].kind() == JsonKind::real) {
                    std::vector<double> numbers;
                    for (const Json& one : list) numbers.push_back(one.as_double(member.key));
                    attributes[member.key] = std::move(numbers);
                } else {
                    std::vector<std::int64_t> numbers;
                    for (const Json& one : list) numbers.push_back(one.as_int(member.key));
                    attributes[member.key] = std::move(numbers);
                }
                break;
            }
            default:
                throw FileFormatError("attribute '" + member.key + "' is neither a number, text nor list");
        }
    }
    return attributes;
}

Json list_to_json(const std::vector<std::int64_t>& numbers) {
    Json list = Json::array();
    for (const std::int64_t number : numbers) list.push(number);
    return list;
}

std::vector<std::int64_t> list_from(const Json& json, const std::string& what) {
    std::vector<std::int64_t> numbers;
    for (const Json& number : json.as_array(what)) numbers.push_back(number.as_int(what));
    return numbers;
}

template <class T>
Json graph_to_json(const Model<T>& model) {
    const Graph& graph = *model.graph();
    Json layers = Json::array();
    std::map<int, std::tuple<int, std::string, int>> places;  // node -> layer, role, call
    for (std::size_t l = 0; l < graph.layers().size(); ++l) {
        const GraphLayer& layer = graph.layers()[l];
        Json calls = Json::array();
        for (const std::vector<int>& given : layer.inputs) {
            Json ids = Json::array();
            for (const int id : given) ids.push(id);
            calls.push(std::move(ids));
        }
        layers.push(Json::object()
                        .set("name", layer.name)
                        .set("kind", layer.kind)
                        .set("config", to_json(layer.config))
                        .set("inputs", std::move(calls)));
        for (const auto* list : {&layer.parameters, &layer.buffers}) {
            for (const auto& [role, id] : *list) places[id] = {static_cast<int>(l), role, 0};
        }
        for (std::size_t call = 0; call < layer.calls.size(); ++call) {
            for (const auto& [role, id] : layer.calls[call]) {
                places[id] = {static_cast<int>(l), role, static_cast<int>(call)};
            }
        }
    }
    Json nodes = Json::array();
    for (int id = 0; id < graph.size(); ++id) {
        const GraphNode& node = graph[id];
        Json entry = Json::object();
        entry.set("kind", kind_names[static_cast<int>(node.kind)]).set("name", node.name);
        if (node.op) {
            Json operands = Json::array();
            for (const int operand : node.inputs) operands.push(operand);
            entry.set("op", node.op->name()).set("attributes", to_json(node.op->attributes()));
            entry.set("inputs", std::move(operands));
        } else {
            entry.set("shape", list_to_json(node.shape.dims))
                .set("dtype", node.dtype == DType::index ? "index" : "real");
        }
        if (const auto place = places.find(id); place != places.end()) {
            const auto& [layer, role, call] = place->second;
            entry.set("layer", layer).set("role", role).set("call", call);
        }
        nodes.push(std::move(entry));
    }
    Json inputs = Json::array(), outputs = Json::array(), frozen = Json::array();
    for (const int id : model.inputs()) inputs.push(id);
    for (const int id : model.outputs()) outputs.push(id);
    const std::vector<bool> is_frozen = model.frozen();
    for (int id = 0; id < graph.size(); ++id) {
        if (is_frozen[static_cast<std::size_t>(id)]) frozen.push(graph[id].name);
    }
    Json json = Json::object();
    json.set("inputs", std::move(inputs)).set("outputs", std::move(outputs)).set("frozen", std::move(frozen));
    json.set("layers", std::move(layers)).set("nodes", std::move(nodes));
    return json;
}

Description graph_from_json(const Json& json) {
    std::vector<std::shared_ptr<const LayerTag>> tags;
    std::vector<const Json*> call_inputs;  // for each layer: what each of its calls was given
    for (const Json& layer : json.get_array("layers")) {
        call_inputs.push_back(layer.find("inputs"));
        tags.push_back(
            std::make_shared<const LayerTag>(LayerTag{layer.get_string("kind"), layer.get_string("name"),
                                                      attributes_from(layer.get_object("config"))}));
    }
    std::vector<Node> nodes;
    const auto node_at = [&](const Json& id, const std::string& name) {
        const std::int64_t i = id.as_int("inputs");
        if (i < 0 || i >= static_cast<std::int64_t>(nodes.size())) {
            throw FileFormatError("node '" + name + "' reads node " + std::to_string(i) +
                                  ", which does not stand before it");
        }
        return nodes[static_cast<std::size_t>(i)];
    };
    const Json::Array& entries = json.get_array("nodes");
    if (entries.size() > 65536) throw FileFormatError("graph: it has more than 65,536 nodes");
    for (const Json& entry : entries) {
        const std::string& kind = entry.get_string("kind");
        const std::string& name = entry.get_string("name");
        std::vector<std::int64_t> dims;
        if (kind != "operation") dims = list_from(entry.at("shape"), "shape");
        std::optional<Node> node;
        const bool layered = entry.find("layer") != nullptr;
        const std::string given = layered ? "" : name;  // what a layer made is named after its layer
        if (kind == "input") {
            node = input(dims, entry.get_string("dtype") == "index" ? DType::index : DType::real, given);
        } else if (kind == "parameter") {
            node = parameter(dims, Initial{}, given);
        } else if (kind == "constant") {
            const auto size = Shape{dims, false}.size();
            if (size > 1 << 28) throw FileFormatError("constant '" + name + "' is too large");
            node = constant(dims, std::vector<double>(static_cast<std::size_t>(size)), given);
        } else if (kind == "operation") {
            std::vector<Node> operands;
            for (const Json& operand : entry.get_array("inputs")) operands.push_back(node_at(operand, name));
            node = apply(make_op(entry.get_string("op"), attributes_from(entry.get_object("attributes"))),
                         std::move(operands), name, given);
        } else {
            throw FileFormatError("node '" + name + "' is of unknown kind '" + kind + "'");
        }
        if (layered) {
            const std::int64_t layer = entry.get_int("layer", 0, static_cast<std::int64_t>(tags.size()) - 1);
            const auto call = static_cast<std::size_t>(entry.get_int("call", 0, 65535));
            std::vector<Node> inputs;
            const Json* calls = call_inputs[static_cast<std::size_t>(layer)];
            if (kind == "operation" && calls != nullptr && call < calls->as_array("inputs").size()) {
                for (const Json& id : calls->as_array("inputs")[call].as_array("inputs"))
                    inputs.push_back(node_at(id, name));
            }
            node = tag(*node, tags[static_cast<std::size_t>(layer)], entry.get_string("role"),
                       static_cast<int>(call), std::move(inputs));
        }
        nodes.push_back(*node);
    }
    Description description;
    const auto pick = [&](const char* key, std::vector<Node>& list) {
        for (const Json& id : json.get_array(key)) {
            const std::int64_t i = id.as_int(key);
            if (i < 0 || i >= static_cast<std::int64_t>(nodes.size())) {
                throw FileFormatError(std::string(key) + ": there is no node " + std::to_string(i));
            }
            list.push_back(nodes[static_cast<std::size_t>(i)]);
        }
    };
    pick("inputs", description.inputs);
    pick("outputs", description.outputs);
    for (const Json& name : json.get_array("frozen")) description.frozen.push_back(name.as_string("frozen"));
    return description;
}

template Json graph_to_json<float>(const Model<float>&);
template Json graph_to_json<double>(const Model<double>&);

}  // namespace retrograd::io
