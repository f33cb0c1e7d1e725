"""The benchmarks: retrograd beside other libraries, on the same work, in one run. See README.md."""
