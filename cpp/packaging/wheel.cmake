# What a wheel has for C++ programs: the sources as one archive, and what find_package(retrograd) reads.
include(CMakePackageConfigHelpers)
set(retrograd_archive ${PROJECT_BINARY_DIR}/packaging/sources.tar.bz2)
file(GLOB_RECURSE retrograd_packed CONFIGURE_DEPENDS cpp/*.cpp cpp/*.hpp cpp/*.h cpp/*.cmake cpp/*.in cpp/*.map)
add_custom_command(OUTPUT ${retrograd_archive}
                   COMMAND Python::Interpreter ${PROJECT_SOURCE_DIR}/cpp/packaging/pack.py ${retrograd_archive}
                   DEPENDS ${retrograd_packed} CMakeLists.txt LICENSE cpp/packaging/pack.py VERBATIM)
add_custom_target(retrograd_sources ALL DEPENDS ${retrograd_archive})

write_basic_package_version_file(${PROJECT_BINARY_DIR}/packaging/retrograd-config-version.cmake
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${retrograd_archive} ${PROJECT_BINARY_DIR}/packaging/retrograd-config-version.cmake
        DESTINATION retrograd/cmake COMPONENT retrograd_python EXCLUDE_FROM_ALL)
install(FILES cpp/packaging/wheel-config.cmake DESTINATION retrograd/cmake RENAME retrograd-config.cmake
        COMPONENT retrograd_python EXCLUDE_FROM_ALL)
