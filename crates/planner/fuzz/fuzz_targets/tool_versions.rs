#![no_main]

planner_fuzz::fuzz!(tool_versions);
