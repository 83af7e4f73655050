#!/bin/sh
# Builds stable-diffusion.cpp for full_size.py: for this CPU, without a GPU, from a checkout with its submodule ggml.
# Nothing is downloaded. Needs cmake and a C++ compiler.
#
#   git clone --recursive https://github.com/leejet/stable-diffusion.cpp
#   build_sdcpp.sh stable-diffusion.cpp build-sdcpp      # leaves build-sdcpp/bin/sd-cli
set -eu
if [ $# -ne 2 ]; then
  sed -n '2,7p' "$0"
  exit 2
fi
if [ ! -f "$1/ggml/CMakeLists.txt" ]; then
  echo "$1/ggml is empty: git -C $1 submodule update --init ggml" >&2
  exit 2
fi
cmake -S "$1" -B "$2" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DSD_BUILD_EXAMPLES=ON -DSD_WEBP=OFF -DSD_WEBM=OFF \
  -DSD_SERVER_BUILD_FRONTEND=OFF
cmake --build "$2" --target sd-cli -j "$(nproc)"
