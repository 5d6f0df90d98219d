# Debian's cross compiler for 64-bit ARM (g++-aarch64-linux-gnu), and an emulator for what it builds (qemu-user).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(OUTPOST_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
