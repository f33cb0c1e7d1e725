# find_package(retrograd) from a wheel: its sources become part of the project that asks, built by that project's
# compiler with that project's flags. So no binary interface has to fit, and nothing is built that nobody links.
if(TARGET retrograd::retrograd)  # by an earlier find_package or add_subdirectory
  return()
endif()
get_property(retrograd_languages GLOBAL PROPERTY ENABLED_LANGUAGES)
if(NOT "CXX" IN_LIST retrograd_languages)
  set(retrograd_FOUND FALSE)
  set(retrograd_NOT_FOUND_MESSAGE "retrograd is built as a part of this project, which needs the language CXX: \
project(${PROJECT_NAME} LANGUAGES CXX)")
  unset(retrograd_languages)
  return()
endif()
unset(retrograd_languages)

set(retrograd_archive ${CMAKE_CURRENT_LIST_DIR}/sources.tar.bz2)
file(SHA256 ${retrograd_archive} retrograd_sum)
string(SUBSTRING ${retrograd_sum} 0 12 retrograd_sum)
set(retrograd_place ${CMAKE_BINARY_DIR}/retrograd-${retrograd_sum})  # another wheel has another folder
if(NOT EXISTS ${retrograd_place}/CMakeLists.txt)
  # Moved when it is complete: what was interrupted is no source.
  file(REMOVE_RECURSE ${retrograd_place} ${retrograd_place}.part)
  file(ARCHIVE_EXTRACT INPUT ${retrograd_archive} DESTINATION ${retrograd_place}.part)
  file(RENAME ${retrograd_place}.part ${retrograd_place})
endif()
add_subdirectory(${retrograd_place} ${retrograd_place}/build/library EXCLUDE_FROM_ALL SYSTEM)
unset(retrograd_archive)
unset(retrograd_sum)
unset(retrograd_place)
