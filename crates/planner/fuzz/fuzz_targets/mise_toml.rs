#![no_main]

planner_fuzz::fuzz!(mise_toml);
