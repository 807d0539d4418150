#![no_main]

planner_fuzz::fuzz!(ruby_lock);
