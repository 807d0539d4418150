#![no_main]

planner_fuzz::fuzz!(java_ready);
