"""The bed of the whole-product tests: real counterparts, the real executable, and little applications."""
