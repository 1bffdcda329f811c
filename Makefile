# For those who type make. CMake is the build; see CMakePresets.json.
PREFIX ?= /usr/local

all:
	cmake --preset release
	cmake --build --preset release

install: all
	cmake --install build --prefix $(PREFIX)

test:
	./test.sh

.PHONY: all install test
