# native_architectures(RESULT): what to build for the GPUs of this machine, without those that are too old for the kernels.
# nvcc's own "native" promises no 90a on Hopper, whose instructions the products of many tokens are written with (not tried
# on one); it is taken where the driver's tool is not there.
function(native_architectures result)
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
    RESULT_VARIABLE code OUTPUT_VARIABLE text ERROR_QUIET)
  string(REGEX MATCHALL "[0-9]+[.][0-9]" capabilities "${text}")
  if(NOT code EQUAL 0 OR NOT capabilities)
    set(${result} native PARENT_SCOPE)
    return()
  endif()
  list(REMOVE_DUPLICATES capabilities)
  set(architectures)
  foreach(capability ${capabilities})
    string(REPLACE "." "" architecture ${capability})
    if(architecture EQUAL 90)
      list(APPEND architectures 90a)
    elseif(architecture GREATER_EQUAL 75)
      list(APPEND architectures ${architecture})
    endif()
  endforeach()
  set(${result} "${architectures}" PARENT_SCOPE)
endfunction()
