#![no_main]

planner_fuzz::fuzz!(rust_toolchain);
