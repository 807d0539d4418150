#![no_main]

planner_fuzz::fuzz!(go_module);
