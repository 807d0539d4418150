#![no_main]

planner_fuzz::fuzz!(application);
