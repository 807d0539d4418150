#![no_main]

planner_fuzz::fuzz!(shell_script);
