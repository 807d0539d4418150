#![no_main]

planner_fuzz::fuzz!(cpp_files);
