#![no_main]

planner_fuzz::fuzz!(node_version);
