#![no_main]

planner_fuzz::fuzz!(go_before_modules);
