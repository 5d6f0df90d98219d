# Metal's runtime and launchers: for a Mac with metal_device.mm and OUTPOST_METAL_NAMES_ONLY, for the tests with a stand-in
# for the device and the emulator. They have to find device_launch.h in this folder.
include(${CMAKE_CURRENT_LIST_DIR}/../launchers/blocks.cmake)
file(GLOB OUTPOST_METAL_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
list(FILTER OUTPOST_METAL_SOURCES EXCLUDE REGEX "not_emulated")
set(OUTPOST_METAL_NAMES_ONLY ${CMAKE_CURRENT_LIST_DIR}/not_emulated.cpp)
file(GLOB OUTPOST_METAL_LAUNCHERS CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/../launchers/*.cu)
set_source_files_properties(${OUTPOST_METAL_LAUNCHERS} PROPERTIES LANGUAGE CXX)
list(APPEND OUTPOST_METAL_SOURCES ${OUTPOST_METAL_LAUNCHERS})
foreach(OUTPOST_BLOCK ${OUTPOST_BLOCKS})
  set(source ${CMAKE_CURRENT_BINARY_DIR}/metal_${OUTPOST_BLOCK}.cpp)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/block_kernels.cpp.in ${source} @ONLY)
  list(APPEND OUTPOST_METAL_SOURCES ${source})
endforeach()
