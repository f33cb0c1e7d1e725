#include <retrograd/error.hpp>

#include "numpy.hpp"

namespace retrograd::bindings {
namespace {

struct Kind {
    const char* name;
    PyObject* builtin;  // null: RetrogradError alone
    const char* doc;
};

// One Python class for each C++ class; kept for the life of the interpreter.
PyObject* classes[9] = {};

PyObject* make_class(py::module_& m, const Kind& kind, PyObject* base) {
    const std::string qualified = std::string("retrograd.") + kind.name;
    py::list list;
    list.append(py::reinterpret_borrow<py::object>(base));
    if (kind.builtin != nullptr) list.append(py::reinterpret_borrow<py::object>(kind.builtin));
    const py::tuple bases(list);
    PyObject* made = PyErr_NewExceptionWithDoc(qualified.c_str(), kind.doc, bases.ptr(), nullptr);
    if (made == nullptr) throw py::error_already_set();
    m.add_object(kind.name, made);
    return made;
}

}  // namespace

void bind_errors(py::module_& m) {
    const Kind root = {"RetrogradError", nullptr, "What all errors of retrograd derive from."};
    classes[0] = make_class(m, root, PyExc_Exception);
    const Kind kinds[] = {
        {"ShapeError", PyExc_ValueError, "Sizes that do not fit together."},
        {"ArgumentError", PyExc_ValueError, "A value outside of what an argument allows."},
        {"DTypeError", PyExc_TypeError, "An element type that is not accepted."},
        {"GraphError", PyExc_ValueError, "A graph that cannot be what it claims."},
        {"StateError", PyExc_RuntimeError, "A call that does not fit the moment."},
        {"NonFiniteError", PyExc_ArithmeticError, "NaN or infinity where a step would have committed it."},
        {"FileFormatError", PyExc_OSError, "A file that is not what it should be."},
    };
    for (std::size_t i = 0; i < std::size(kinds); ++i) classes[i + 1] = make_class(m, kinds[i], classes[0]);

    py::register_exception_translator([](std::exception_ptr caught) {
        try {
            if (caught) std::rethrow_exception(caught);
        } catch (const ShapeError& e) {
            PyErr_SetString(classes[1], e.what());
        } catch (const ArgumentError& e) {
            PyErr_SetString(classes[2], e.what());
        } catch (const DTypeError& e) {
            PyErr_SetString(classes[3], e.what());
        } catch (const GraphError& e) {
            PyErr_SetString(classes[4], e.what());
        } catch (const StateError& e) {
            PyErr_SetString(classes[5], e.what());
        } catch (const NonFiniteError& e) {
            PyErr_SetString(classes[6], e.what());
        } catch (const FileFormatError& e) {
            PyErr_SetString(classes[7], e.what());
        } catch (const Interrupted& e) {
            PyErr_SetString(PyExc_KeyboardInterrupt, e.what());
        } catch (const Error& e) {
            PyErr_SetString(classes[0], e.what());
        }
    });
}

}  // namespace retrograd::bindings
