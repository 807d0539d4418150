#![no_main]

planner_fuzz::fuzz!(static_json);
