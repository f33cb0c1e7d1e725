# `cmake --install build --prefix P`: the library, its headers, and what find_package(retrograd) reads. The headers
# and the archive alone; the Python extension has a component of its own.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)
set(retrograd_config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/retrograd)

install(TARGETS retrograd EXPORT retrograd-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT retrograd_development)
install(DIRECTORY cpp/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT retrograd_development)
install(EXPORT retrograd-targets NAMESPACE retrograd:: DESTINATION ${retrograd_config_folder}
        COMPONENT retrograd_development)

configure_package_config_file(cpp/packaging/prefix-config.cmake.in
                              ${PROJECT_BINARY_DIR}/packaging/retrograd-config.cmake
                              INSTALL_DESTINATION ${retrograd_config_folder}
                              NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/packaging/retrograd-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/packaging/retrograd-config.cmake
              ${PROJECT_BINARY_DIR}/packaging/retrograd-config-version.cmake
        DESTINATION ${retrograd_config_folder} COMPONENT retrograd_development)
