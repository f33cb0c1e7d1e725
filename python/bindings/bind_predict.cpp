// Prediction without Python in between.
//
// `@direct_predict` stands before the method Model.predict. What takes the method's place has its name,
// signature and documentation, and hands on to it whatever is unusual or wrong: only the method refuses
// anything. An array that the core can read as it stands goes to the core at once: predicting one row takes
// no longer than calling a Python function.
#include <pybind11/pybind11.h>  // Python.h comes before all else

#include <structmember.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>

#include <retrograd/model.hpp>

#include "numpy.hpp"

namespace retrograd::bindings {
namespace {

using py::detail::npy_api;

// ---- the short way

constexpr std::int64_t unnoticed_work =
    200'000;  // multiply-adds, about 20 us: shorter than to hand on the GIL
constexpr std::size_t most_axes = 8;

// What every call needs; set when the module is made and never changed, so that threads can read it.
template <class T>
PyObject* model_type = nullptr;
PyObject* core_name = nullptr;
PyObject* out_name = nullptr;

// The C++ model within a Model of Python; null where it is none of this type.
template <class T>
Model<T>* core_of(PyObject* object) {
    if (reinterpret_cast<PyObject*>(Py_TYPE(object)) != model_type<T>) return nullptr;
    return static_cast<Model<T>*>(
        reinterpret_cast<py::detail::instance*>(object)->get_value_and_holder().value_ptr());
}

// What NumPy knows of an array that is exactly an ndarray, in C order and native bytes; else null.
const py::detail::PyArray_Proxy* plain_array(PyObject* object) {
    if (Py_TYPE(object) != npy_api::get().PyArray_Type_) return nullptr;
    const auto* array = py::detail::array_proxy(object);
    const char order = py::detail::array_descriptor_proxy(array->descr)->byteorder;
    const bool plain =
        (array->flags & npy_api::NPY_ARRAY_C_CONTIGUOUS_) != 0 && (order == '=' || order == '|');
    return plain ? array : nullptr;
}

int type_number(const py::detail::PyArray_Proxy& array) {
    return py::detail::array_descriptor_proxy(array.descr)->type_num;
}

std::optional<ElementType> element_type(const py::detail::PyArray_Proxy& array) {
    switch (type_number(array)) {
        case npy_api::NPY_FLOAT_: return ElementType::f32;
        case npy_api::NPY_DOUBLE_: return ElementType::f64;
        case npy_api::NPY_UBYTE_: return ElementType::u8;
        default: return std::nullopt;
    }
}

template <class T>
constexpr int own_type = sizeof(T) == 4 ? npy_api::NPY_FLOAT_ : npy_api::NPY_DOUBLE_;

// Whether the array has `rows` samples of this shape.
bool has_shape(const py::detail::PyArray_Proxy& array, std::int64_t rows,
               const std::vector<std::int64_t>& sample) {
    return static_cast<std::size_t>(array.nd) == sample.size() + 1 && array.dimensions[0] == rows &&
           std::equal(sample.begin(), sample.end(), array.dimensions + 1);
}

template <class T>
PyObject* empty_array(std::int64_t rows, const std::vector<std::int64_t>& sample) {
    std::array<Py_intptr_t, most_axes> dims{rows};
    if (sample.size() >= dims.size()) return nullptr;
    std::ranges::copy(sample, dims.begin() + 1);
    const npy_api& api = npy_api::get();
    return api.PyArray_NewFromDescr_(api.PyArray_Type_, api.PyArray_DescrFromType_(own_type<T>),
                                     static_cast<int>(sample.size()) + 1, dims.data(), nullptr, nullptr, 0,
                                     nullptr);
}

// A new reference to the result, or null where the method must be asked; an error set then says no more.
template <class T>
PyObject* predict_few(Model<T>& model, PyObject* x, PyObject* out) {
    if (model.inputs().size() != 1 || model.outputs().size() != 1) return nullptr;
    const auto sample = [&](int node) -> const auto& { return (*model.graph())[node].shape.dims; };
    const auto* from = plain_array(x);
    if (from == nullptr || from->nd == 0) return nullptr;
    const std::int64_t rows = from->dimensions[0];
    const std::optional<ElementType> type = element_type(*from);
    if (!type || !has_shape(*from, rows, sample(model.inputs()[0]))) return nullptr;

    const std::vector<std::int64_t>& shape = sample(model.outputs()[0]);
    constexpr int writable = npy_api::NPY_ARRAY_WRITEABLE_ | npy_api::NPY_ARRAY_ALIGNED_;
    if (out != nullptr) {
        const auto* to = plain_array(out);
        if (to == nullptr || type_number(*to) != own_type<T> || (to->flags & writable) != writable ||
            !has_shape(*to, rows, shape)) {
            return nullptr;
        }
    }
    auto result = out != nullptr ? py::reinterpret_borrow<py::object>(out)
                                 : py::reinterpret_steal<py::object>(empty_array<T>(rows, shape));
    if (!result) return nullptr;
    try {
        std::optional<py::gil_scoped_release> release;
        if (rows * model.inference_cost() > unnoticed_work) release.emplace();
        T* const y = reinterpret_cast<T*>(py::detail::array_proxy(result.ptr())->data);
        if (!model.predict_few(from->data, *type, rows, y)) return nullptr;
    } catch (...) {  // training in another thread, no memory: the method meets it again
        return nullptr;
    }
    return result.release().ptr();
}

// ---- what stands in the method's place

struct DirectPredict {
    PyObject head;
    vectorcallfunc call;
    PyObject* method;
    PyObject* dict;  // __doc__, __wrapped__ and the like
};

DirectPredict* self_of(PyObject* self) { return reinterpret_cast<DirectPredict*>(self); }

PyObject* predict(PyObject* model, PyObject* x, PyObject* out) {
    const auto core = py::reinterpret_steal<py::object>(PyObject_GetAttr(model, core_name));
    if (!core) return nullptr;
    if (auto* single = core_of<float>(core.ptr())) return predict_few(*single, x, out);
    if (auto* wide = core_of<double>(core.ptr())) return predict_few(*wide, x, out);
    return nullptr;
}

PyObject* call(PyObject* self, PyObject* const* arguments, std::size_t counts, PyObject* names) {
    const Py_ssize_t named = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
    const bool has_out = named == 1 && PyTuple_GET_ITEM(names, 0) == out_name;
    if (PyVectorcall_NARGS(counts) == 2 && (named == 0 || has_out)) {
        PyObject* result = predict(arguments[0], arguments[1], has_out ? arguments[2] : nullptr);
        if (result != nullptr) return result;
        PyErr_Clear();
    }
    return PyObject_Vectorcall(self_of(self)->method, arguments, counts, names);
}

PyObject* bind(PyObject* self, PyObject* model, PyObject*) {
    return model == nullptr ? Py_NewRef(self) : PyMethod_New(self, model);
}

PyObject* text_of(PyObject* self) { return PyObject_Repr(self_of(self)->method); }

// Pickled by name, as functions are.
PyObject* reduce(PyObject* self, PyObject*) { return PyObject_GetAttrString(self, "__qualname__"); }

int traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self_of(self)->method);
    Py_VISIT(self_of(self)->dict);
    return 0;
}

int clear(PyObject* self) {
    Py_CLEAR(self_of(self)->method);
    Py_CLEAR(self_of(self)->dict);
    return 0;
}

void destroy(PyObject* self) {
    PyTypeObject* const type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

py::object make_type() {
    static PyMemberDef members[] = {
        {"__vectorcalloffset__", T_PYSSIZET, offsetof(DirectPredict, call), READONLY, nullptr},
        {"__dictoffset__", T_PYSSIZET, offsetof(DirectPredict, dict), READONLY, nullptr},
        {}};
    static PyGetSetDef properties[] = {
        {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr}, {}};
    static PyMethodDef methods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr}, {}};
    static PyType_Slot slots[] = {{Py_tp_members, members},
                                  {Py_tp_getset, properties},
                                  {Py_tp_methods, methods},
                                  {Py_tp_call, reinterpret_cast<void*>(&PyVectorcall_Call)},
                                  {Py_tp_descr_get, reinterpret_cast<void*>(&bind)},
                                  {Py_tp_repr, reinterpret_cast<void*>(&text_of)},
                                  {Py_tp_traverse, reinterpret_cast<void*>(&traverse)},
                                  {Py_tp_clear, reinterpret_cast<void*>(&clear)},
                                  {Py_tp_dealloc, reinterpret_cast<void*>(&destroy)},
                                  {0, nullptr}};
    PyType_Spec spec = {"retrograd._core.DirectPredict", sizeof(DirectPredict), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                            Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                        slots};
    PyObject* type = PyType_FromSpec(&spec);
    if (type == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(type);
}

}  // namespace

void bind_predict(py::module_& m) {
    model_type<float> = py::type::of<Model<float>>().release().ptr();
    model_type<double> = py::type::of<Model<double>>().release().ptr();
    core_name = PyUnicode_InternFromString("_core");
    out_name = PyUnicode_InternFromString("out");
    if (core_name == nullptr || out_name == nullptr) throw py::error_already_set();
    m.def(
        "direct_predict",
        [type = make_type()](const py::function& method) {
            auto* made = PyObject_GC_New(DirectPredict, reinterpret_cast<PyTypeObject*>(type.ptr()));
            if (made == nullptr) throw py::error_already_set();
            made->call = &call;
            made->method = Py_NewRef(method.ptr());
            made->dict = nullptr;
            PyObject_GC_Track(made);
            auto direct = py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(made));
            py::module_::import("functools").attr("update_wrapper")(direct, method);
            return direct;
        },
        py::arg("method"));
}

}  // namespace retrograd::bindings
