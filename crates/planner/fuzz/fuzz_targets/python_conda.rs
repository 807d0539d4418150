#![no_main]

planner_fuzz::fuzz!(python_conda);
