# Writes fastnn/_build_info.json, which fastnn.show_config() reads, and prints the same on the console.
if(FASTNN_CPU_MISSING STREQUAL "")
    set(info_cpu true)
    set(info_compiler "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
    list(JOIN FASTNN_ALL_LEVELS "\", \"" info_levels)
    set(info_levels "\"${info_levels}\"")
    message(STATUS "fastnn: C++ kernels for ${FASTNN_ALL_LEVELS}, ${info_compiler}, ${CMAKE_BUILD_TYPE}")
else()
    set(info_cpu false)
    set(info_compiler "")
    set(info_levels "")
    message(STATUS "fastnn: no C++ kernels: ${FASTNN_CPU_MISSING}")
endif()
if(NOT FASTNN_CUDA_MISSING)
    set(info_cuda true)
    set(info_nvcc "${CMAKE_CUDA_COMPILER_VERSION}")
    list(JOIN FASTNN_CUDA_ARCHITECTURES "\", \"" info_archs)
    set(info_archs "\"${info_archs}\"")
    message(STATUS "fastnn: CUDA kernels for ${FASTNN_CUDA_ARCHITECTURES}, nvcc ${info_nvcc}")
else()
    set(info_cuda false)
    set(info_nvcc "")
    set(info_archs "")
    message(STATUS "fastnn: no CUDA kernels: ${FASTNN_CUDA_MISSING}")
endif()
list(JOIN FASTNN_SANITIZE ", " info_sanitize)

set(info_file ${CMAKE_CURRENT_BINARY_DIR}/_build_info.json)
file(WRITE ${info_file}
"{
  \"cpu\": ${info_cpu},
  \"cpu_missing\": \"${FASTNN_CPU_MISSING}\",
  \"compiler\": \"${info_compiler}\",
  \"isa_levels\": [${info_levels}],
  \"cuda\": ${info_cuda},
  \"cuda_missing\": \"${FASTNN_CUDA_MISSING}\",
  \"nvcc\": \"${info_nvcc}\",
  \"cuda_archs\": [${info_archs}],
  \"build_type\": \"${CMAKE_BUILD_TYPE}\",
  \"sanitizers\": \"${info_sanitize}\"
}
")
install(FILES ${info_file} DESTINATION fastnn)
if(FASTNN_INPLACE)
    file(COPY ${info_file} DESTINATION ${CMAKE_CURRENT_SOURCE_DIR}/python/fastnn)
endif()
