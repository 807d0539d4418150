#![no_main]

planner_fuzz::fuzz!(repeated);
