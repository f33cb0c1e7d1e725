// The version, in one place: the build and the Python package read it from here.
#pragma once

#define RETROGRAD_VERSION "0.1.0"
