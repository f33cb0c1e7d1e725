#include "numpy.hpp"

#include <bit>
#include <cstring>
#include <map>

#include <retrograd/error.hpp>

namespace retrograd::bindings {
namespace {

ElementType element_type(char kind, std::int64_t size, bool& known) {
    known = true;
    switch (kind) {
        case 'f':
            if (size == 2) return ElementType::f16;
            if (size == 4) return ElementType::f32;
            if (size == 8) return ElementType::f64;
            break;
        case 'i':
            if (size == 1) return ElementType::i8;
            if (size == 2) return ElementType::i16;
            if (size == 4) return ElementType::i32;
            if (size == 8) return ElementType::i64;
            break;
        case 'u':
            if (size == 1) return ElementType::u8;
            if (size == 2) return ElementType::u16;
            if (size == 4) return ElementType::u32;
            if (size == 8) return ElementType::u64;
            break;
        case 'b': return ElementType::boolean;
        default: break;
    }
    known = false;
    return ElementType::f32;
}

const std::map<std::string, const char*> dtypes = {  // of safetensors, and what NumPy calls them
    {"F16", "f2"}, {"F32", "f4"}, {"F64", "f8"}, {"I8", "i1"},  {"I16", "i2"}, {"I32", "i4"},
    {"I64", "i8"}, {"U8", "u1"},  {"U16", "u2"}, {"U32", "u4"}, {"U64", "u8"}, {"BOOL", "b1"}};

bool is_masked(py::handle array) {
    const py::dict modules = py::module_::import("sys").attr("modules");
    return modules.contains("numpy.ma") && py::isinstance(array, modules["numpy.ma"].attr("MaskedArray"));
}

Attribute attribute_of(const std::string& key, py::handle value) {
    if (PyBool_Check(value.ptr())) return value.cast<bool>();
    if (PyUnicode_Check(value.ptr())) return value.cast<std::string>();
    if (PyIndex_Check(value.ptr()))
        return py::int_(py::reinterpret_borrow<py::object>(value)).cast<std::int64_t>();
    if (PyFloat_Check(value.ptr()) || py::hasattr(value, "__float__")) {
        return py::float_(py::reinterpret_borrow<py::object>(value)).cast<double>();
    }
    if (PyList_Check(value.ptr()) || PyTuple_Check(value.ptr())) {
        bool whole = true;
        for (const py::handle one : value) whole &= PyIndex_Check(one.ptr()) != 0;
        if (whole) return value.cast<std::vector<std::int64_t>>();
        return value.cast<std::vector<double>>();
    }
    throw DTypeError(key + ": expected a number, text, truth value or list of numbers, got " +
                     std::string(py::str(py::type::of(value).attr("__name__"))));
}

}  // namespace

ArrayView view_of(py::handle object, const std::string& name) {
    if (!py::isinstance<py::array>(object)) {
        throw DTypeError(name + ": expected a NumPy array, got " +
                         std::string(py::str(py::type::of(object).attr("__name__"))));
    }
    if (is_masked(object)) {
        throw DTypeError(
            name + ": got a masked array; fill or remove the masked values first, e.g. with .filled(0)");
    }
    const auto array = py::reinterpret_borrow<py::array>(object);
    const py::dtype dtype = array.dtype();
    bool known = false;
    ArrayView view;
    view.type = element_type(dtype.kind(), dtype.itemsize(), known);
    if (!known) {
        throw DTypeError(name + ": got dtype " + std::string(py::str(dtype)) +
                         "; expected numbers: float16, float32, float64, an integer type or bool");
    }
    const char order = dtype.byteorder();
    view.swapped = order == (std::endian::native == std::endian::little ? '>' : '<');
    view.data = static_cast<const std::byte*>(array.data());
    view.shape = shape_of(array);
    view.strides.assign(array.strides(), array.strides() + array.ndim());
    view.name = name;
    return view;
}

std::vector<ArrayView> views_of(const py::sequence& arrays, const std::string& name) {
    std::vector<ArrayView> views;
    const std::size_t count = arrays.size();
    for (std::size_t i = 0; i < count; ++i) {
        views.push_back(view_of(arrays[i], count == 1 ? name : name + "[" + std::to_string(i) + "]"));
    }
    return views;
}

std::vector<double> doubles_of(const py::array& array) {
    const auto plain = py::array_t<double, py::array::c_style | py::array::forcecast>::ensure(array);
    if (!plain) throw py::error_already_set();
    return {plain.data(), plain.data() + plain.size()};
}

Attributes attributes_of(const py::dict& dict) {
    Attributes attributes;
    for (const auto& [key, value] : dict) {
        const auto name = key.cast<std::string>();
        attributes[name] = attribute_of(name, value);
    }
    return attributes;
}

py::dict dict_of(const Attributes& attributes) {
    py::dict dict;
    for (const auto& [key, value] : attributes) {
        dict[py::str(key)] = std::visit([](const auto& one) -> py::object { return py::cast(one); }, value);
    }
    return dict;
}

py::array array_of(const NamedTensor& tensor, const std::string& source) {
    const auto dtype = dtypes.find(tensor.dtype);
    if (dtype == dtypes.end()) {
        throw FileFormatError(source + ": tensor '" + tensor.name + "' has dtype " + tensor.dtype +
                              ", which NumPy does not have");
    }
    py::array array(py::dtype(dtype->second), tensor.shape);
    if (!tensor.bytes.empty()) std::memcpy(array.mutable_data(), tensor.bytes.data(), tensor.bytes.size());
    return array;
}

NamedTensor tensor_of(std::string name, const py::array& array) {
    const std::string code = std::string(1, array.dtype().kind()) + std::to_string(array.itemsize());
    const bool plain = (array.flags() & py::array::c_style) && array.dtype().byteorder() != '>';
    for (const auto& [dtype, numpy] : dtypes) {
        if (!plain || code != numpy) continue;
        const auto* bytes = static_cast<const std::byte*>(array.data());
        return {std::move(name), dtype, shape_of(array), {bytes, bytes + array.nbytes()}};
    }
    throw DTypeError(name + ": an array of " + std::string(py::str(array.dtype())) + " cannot be saved");
}

}  // namespace retrograd::bindings
