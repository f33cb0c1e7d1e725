// Arrays cross the border here: in as checked views of the caller's memory, out as views or as owners.
#pragma once

#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <retrograd/data.hpp>
#include <retrograd/model_file.hpp>
#include <retrograd/op.hpp>

namespace retrograd::bindings {

namespace py = pybind11;

// A view of a NumPy array of numbers, whatever its strides and byte order; nothing is copied. Throws
// DTypeError for all else, naming `name`. The array must outlive the view.
[[nodiscard]] ArrayView view_of(py::handle object, const std::string& name);

// x of one array is called "x", x of several "x[0]", "x[1]".
[[nodiscard]] std::vector<ArrayView> views_of(const py::sequence& arrays, const std::string& name);

// Plain numbers for a parameter or constant, as doubles in C order.
[[nodiscard]] std::vector<double> doubles_of(const py::array& array);

[[nodiscard]] Attributes attributes_of(const py::dict& dict);
[[nodiscard]] py::dict dict_of(const Attributes& attributes);

[[nodiscard]] inline std::vector<std::int64_t> shape_of(const py::array& array) {
    return {array.shape(), array.shape() + array.ndim()};
}

// A tensor of a file as an array, and an array in C order as a tensor; throw where the other side has no such
// type. `source` is the file.
[[nodiscard]] py::array array_of(const NamedTensor& tensor, const std::string& source);
[[nodiscard]] NamedTensor tensor_of(std::string name, const py::array& array);

// A writable view of memory that `owner` keeps alive.
template <class T>
[[nodiscard]] py::array view_out(T* data, const std::vector<std::int64_t>& shape,
                                 std::shared_ptr<const void> owner) {
    auto* kept = new std::shared_ptr<const void>(std::move(owner));
    const py::capsule base(kept, [](void* p) { delete static_cast<std::shared_ptr<const void>*>(p); });
    return py::array_t<T>(shape, data, base);
}

// An array that owns a vector's memory.
template <class T>
[[nodiscard]] py::array array_out(std::vector<T> numbers, std::vector<std::int64_t> shape) {
    auto* kept = new std::vector<T>(std::move(numbers));
    const py::capsule base(kept, [](void* p) { delete static_cast<std::vector<T>*>(p); });
    return py::array_t<T>(std::move(shape), kept->data(), base);
}

// What long calls ask every 20 ms: runs Python's signal handlers, so that Ctrl-C arrives as its exception.
inline bool check_signals() {
    const py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    return false;
}

void bind_checkpoint(py::module_& m);
void bind_errors(py::module_& m);
void bind_evaluation(py::module_& m);
void bind_graph(py::module_& m);
void bind_model(py::module_& m);
void bind_predict(py::module_& m);
void bind_trainer(py::module_& m);

}  // namespace retrograd::bindings
