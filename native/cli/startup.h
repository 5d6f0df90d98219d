// What a system gives a program at its start, made the same on all of them.
#pragma once

#include <string>
#include <vector>

namespace outpost::cli {

/// Makes the standard streams carry bytes as they are. @return the arguments behind the program's name, in UTF-8
std::vector<std::string> start_program(int argc, char** argv);

}  // namespace outpost::cli
