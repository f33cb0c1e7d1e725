// The exceptions of retrograd. A message names who, what came, what was expected and what to do.
#pragma once

#include <stdexcept>
#include <string>

namespace retrograd {

class Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

class ShapeError : public Error {  // sizes that do not fit together
  public:
    using Error::Error;
};

class ArgumentError : public Error {  // a value outside of what an argument allows
  public:
    using Error::Error;
};

class DTypeError : public Error {  // an element type that is not accepted
  public:
    using Error::Error;
};

class GraphError : public Error {  // a graph that cannot be what it claims
  public:
    using Error::Error;
};

class StateError : public Error {  // a call that does not fit the moment
  public:
    using Error::Error;
};

class NonFiniteError : public Error {  // NaN or infinity where a step would have committed it
  public:
    using Error::Error;
};

class FileFormatError : public Error {  // a file that is not what it should be
  public:
    using Error::Error;
};

class Interrupted : public Error {  // the caller asked to stop; the last committed step stands
  public:
    using Error::Error;
};

}  // namespace retrograd
