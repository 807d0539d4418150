#![no_main]

planner_fuzz::fuzz!(railpack_json);
