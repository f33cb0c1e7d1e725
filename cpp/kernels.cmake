# The kernels, compiled once per instruction set.
#
# Sets retrograd_isas, the names, and retrograd_kernel_objects, the object files to link. Each object exports
# two functions, retrograd::<isa>::fill_float and fill_double; cpp/src/kernels/table.cpp chooses among them
# when the library is loaded, and lists the same names for the same processors.
if(CMAKE_CXX_COMPILER_ID STREQUAL "MSVC")
  message(FATAL_ERROR "retrograd needs vector extensions that MSVC does not have; use clang-cl on Windows")
endif()

# clang-cl takes clang's options after /clang: only; without it, it passes over -ffp-contract=off and most others.
set(retrograd_option "")
if(CMAKE_CXX_COMPILER_FRONTEND_VARIANT STREQUAL "MSVC")
  set(retrograd_option "/clang:")
endif()

set(retrograd_processor ${CMAKE_SYSTEM_PROCESSOR})
if(APPLE AND CMAKE_OSX_ARCHITECTURES)  # what is compiled for, on a Mac of either kind
  list(LENGTH CMAKE_OSX_ARCHITECTURES retrograd_architectures)
  if(retrograd_architectures GREATER 1)
    message(FATAL_ERROR "retrograd is built for one of ${CMAKE_OSX_ARCHITECTURES} at a time")
  endif()
  set(retrograd_processor ${CMAKE_OSX_ARCHITECTURES})
endif()

set(retrograd_isas baseline)
set(retrograd_baseline_flags "")
if(retrograd_processor MATCHES "^(x86_64|AMD64|amd64)$")
  set(retrograd_isas baseline avx2 avx512)
  set(retrograd_baseline_flags -march=x86-64-v2)
  set(retrograd_avx2_flags -march=x86-64-v3)
  set(retrograd_avx512_flags -march=x86-64-v4 -mprefer-vector-width=512)
elseif(retrograd_processor MATCHES "^(aarch64|arm64|ARM64)$")
  set(retrograd_isas neon)
  set(retrograd_neon_flags "")
endif()

# Fixed whatever the build type: an unoptimised kernel would not inline, and inlining keeps symbols apart.
set(retrograd_kernel_flags -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math)
if(NOT WIN32 AND NOT APPLE)  # of ELF
  list(APPEND retrograd_kernel_flags -fno-semantic-interposition)
endif()
list(APPEND retrograd_kernel_flags -Wall -Wextra -Wpedantic -Wshadow -Wno-psabi)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # a second copy of each loop for a stride of one would only be larger
  list(APPEND retrograd_kernel_flags -fno-version-loops-for-strides)
endif()
if(NOT WIN32)
  # kernels throw nothing and call nothing that does
  list(APPEND retrograd_kernel_flags -fno-asynchronous-unwind-tables -fno-unwind-tables)
endif()
if(RETROGRAD_WERROR)
  list(APPEND retrograd_kernel_flags -Werror)
endif()

set(retrograd_kernel_objects "")
foreach(isa IN LISTS retrograd_isas)
  add_library(retrograd_kernels_${isa} OBJECT ${CMAKE_CURRENT_LIST_DIR}/src/kernels/kernels.cpp)
  target_compile_features(retrograd_kernels_${isa} PUBLIC cxx_std_20)
  target_include_directories(retrograd_kernels_${isa} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/src)
  target_compile_definitions(retrograd_kernels_${isa} PRIVATE RG_ISA=${isa})
  set(retrograd_isa_flags ${retrograd_kernel_flags} ${retrograd_${isa}_flags})
  if(isa STREQUAL "baseline")  # of machines from before 2013: small rather than fast
    list(APPEND retrograd_isa_flags -Os)
  endif()
  list(TRANSFORM retrograd_isa_flags PREPEND "${retrograd_option}")
  target_compile_options(retrograd_kernels_${isa} PRIVATE ${retrograd_isa_flags})
  set_target_properties(retrograd_kernels_${isa} PROPERTIES POSITION_INDEPENDENT_CODE ON
                        CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  list(APPEND retrograd_kernel_objects $<TARGET_OBJECTS:retrograd_kernels_${isa}>)
endforeach()
